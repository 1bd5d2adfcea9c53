"""A bucket: objects by name under an address, through s3fs. Slow or busy answers are tried again, then said."""

from __future__ import annotations

import hashlib
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from pasquin.errors import InputError, NetworkError, UsageError
from pasquin.progress import Progress, Silent
from pasquin.sync.plan import NAME, Entry

INDEX: Final = "pasquin-sync.json"
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
_TOLD_FROM: Final = 2.0
_SECONDS: Final = 60
_LARGE: Final = 2**20
_MOST_INDEX: Final = 512 * 2**20
_Answer = TypeVar("_Answer")


class ChangedError(NetworkError):
    """An object is not what the index says: somebody else is sending just now."""


class Bucket:
    """What lies under `s3://bucket/prefix`."""

    def __init__(self, url: str, progress: Progress | None = None) -> None:
        """Nothing is asked yet; waiting is told through `progress`. Raises UsageError when it is no such address, or a
        package is missing."""
        self._progress = progress or Silent()
        scheme, _, place = url.partition("://")
        self.place = place.strip("/")
        if scheme != "s3" or not self.place or "?" in place or "@" in place:
            raise UsageError(f"`{url[:200]}` is no place to sync with: write s3://BUCKET or s3://BUCKET/PREFIX.")
        self.url = f"s3://{self.place}"
        try:
            s3fs = importlib.import_module("s3fs")
            session = importlib.import_module("botocore.session").get_session()
        except ImportError as exc:
            raise UsageError("Object stores need one more package: pip install 'pasquin[data]'.") from exc
        self._files: Any = s3fs.S3FileSystem(
            anon=session.get_credentials() is None,
            use_listings_cache=False,
            skip_instance_cache=True,
            config_kwargs={
                "retries": {"max_attempts": 1, "mode": "standard"},
                "connect_timeout": 10,
                "read_timeout": _SECONDS,
                # Every file is known by its SHA-256; many other stores do not know S3's newer checksums.
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            },
        )
        self._files.retries = 1  # all trying again is in `_try`, where the person is told

    def read_index(self) -> tuple[int, dict[str, Entry]]:
        """The number of the last sync and the files after it; 0 and none where nobody synced yet."""
        try:
            content = self._try(lambda: self._files.cat_file(self._key(INDEX)))
        except FileNotFoundError:
            return 0, {}
        try:
            found = orjson.loads(content)
            generation, number = found["generation"], found["format"]
            files = {name: (size, digest) for name, (size, digest) in found["files"].items()}
            sound = number == 1 and isinstance(generation, int) and all(map(_sound, files, files.values()))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as exc:
            raise self._bad() from exc
        if not sound:
            raise self._bad()
        return generation, files

    def write_index(self, generation: int, files: dict[str, Entry]) -> None:
        """Say what is there now; from here on it counts."""
        content = orjson.dumps({"format": 1, "generation": generation, "files": files}, option=orjson.OPT_SORT_KEYS)
        self._try(lambda: self._files.pipe_file(self._key(INDEX), content))

    def send(self, name: str, path: Path, entry: Entry) -> None:
        """Put a file; it is there whole or not at all. A large one that is there already is not sent again."""
        if entry[0] < _LARGE or self._hash_of(name) != entry[1]:
            self._try(lambda: self._files.put_file(str(path), self._key(name), Metadata={"sha256": entry[1]}))

    def _hash_of(self, name: str) -> str | None:
        """What a file was when it was sent, None where there is none."""
        try:
            found: dict[str, str] = self._try(lambda: self._files.metadata(self._key(name), refresh=True))
            return found.get("sha256")
        except FileNotFoundError:
            return None

    def fetch(self, name: str, path: Path, entry: Entry) -> None:
        """Bring an object here, to `path`. Raises ChangedError when it is not what `entry` says."""
        try:
            self._try(lambda: self._files.get_file(self._key(name), str(path)))
        except FileNotFoundError as exc:
            raise self._changed(name) from exc
        with path.open("rb") as handle:
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        if (path.stat().st_size, digest) != entry:
            path.unlink()
            raise self._changed(name)

    def read(self, name: str, entry: Entry) -> bytes:
        """A small object. Raises ChangedError when it is not what `entry` says."""
        try:
            content: bytes = self._try(lambda: self._files.cat_file(self._key(name)))
        except FileNotFoundError as exc:
            raise self._changed(name) from exc
        if (len(content), hashlib.sha256(content).hexdigest()) != entry:
            raise self._changed(name)
        return content

    def remove(self, name: str) -> None:
        """Remove an object; one that is gone already is no error."""

        def ask() -> None:
            if self._files.exists(self._key(name)):
                self._files.rm_file(self._key(name))

        self._try(ask)

    def _key(self, name: str) -> str:
        return f"{self.place}/{name}"

    def _bad(self) -> InputError:
        return InputError(
            f"{self.url}/{INDEX} makes no sense. If nobody else uses this place, remove that object and sync again."
        )

    def _changed(self, name: str) -> ChangedError:
        return ChangedError(
            f"{self.url}/{name} is not what the last sync left: another one is under way, or somebody changed it by "
            "hand. Sync again in a minute; from the machine that has it whole, if that does not help."
        )

    def _try(self, ask: Callable[[], _Answer]) -> _Answer:
        """Ask, and again after a while where the store is busy or silent. Raises NetworkError, FileNotFoundError."""
        for pause in (*_PAUSES, None):
            try:
                return ask()
            except FileNotFoundError as exc:
                if "bucket" in str(exc).lower():
                    raise NetworkError(f"There is no bucket for {self.url}. Make it, or mend the name.") from exc
                raise
            except PermissionError as exc:
                raise NetworkError(
                    f"{self.url} refuses these credentials. Check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY (or "
                    "AWS_PROFILE), AWS_ENDPOINT_URL, and what the key may do: read, write, delete and list."
                ) from exc
            except Exception as exc:  # those of four packages, which may not be there to be named
                if isinstance(exc, OSError) and exc.filename is not None:
                    raise  # a file of ours
                if pause is None:
                    raise NetworkError(
                        f"{self.url} does not answer as it should ({type(exc).__name__}), {len(_PAUSES) + 1} times "
                        "running. What was sent is kept; run the same command again later."
                    ) from exc
                if pause >= _TOLD_FROM:
                    self._progress.say(
                        f"{self.url} is busy or silent ({type(exc).__name__}); asked again in {pause:.0f} s."
                    )
                time.sleep(pause)
        raise AssertionError


def _sound(name: str, entry: object) -> bool:
    return (
        bool(NAME.fullmatch(name))
        and isinstance(entry, tuple)
        and isinstance(entry[0], int)
        and isinstance(entry[1], str)
        and len(entry[1]) == 64
    )
