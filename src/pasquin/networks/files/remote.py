"""Files that lie elsewhere: `https://…` through the one transport (with its guard), `s3://…` through s3fs, `file://…`.

A file is brought to a temporary folder first, so what is read is whole and memory stays small; it goes when read.
"""

from __future__ import annotations

import errno
import importlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from pasquin.errors import InputError, NetworkError, PasquinError, ResourceError, UsageError, disk_errors
from pasquin.networks.files.reading import plain_suffix

if TYPE_CHECKING:
    from pasquin.config import CollectSettings

_SCHEMES: Final = ("https", "http", "s3", "file")
_CHUNK: Final = 2**20


def is_url(what: str) -> bool:
    """Whether this is an address and no path."""
    return "://" in what


def local_path(url: str) -> str | None:
    """The path that a `file://` address means, None for others. Raises UsageError for addresses of no known kind."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise UsageError(f"Files can be read from {', '.join(f'{one}://' for one in _SCHEMES)}, not from {url[:80]}.")
    if parts.scheme != "file":
        return None
    if parts.netloc not in ("", "localhost"):
        raise UsageError(f"{url[:200]} names another machine; write file:///, three slashes and the path.")
    return unquote(parts.path)


@contextmanager
def fetched(url: str, suffixes: tuple[str, ...], settings: CollectSettings) -> Iterator[list[tuple[Path, str]]]:
    """Local copies of what `url` means, each with its own address: a file, or with `s3://` also a pattern or a folder.

    Raises UsageError, InputError when there is nothing, NetworkError when it cannot be had, ResourceError when it is
    larger than `settings.max_download_bytes` or the temporary folder is full.
    """
    with tempfile.TemporaryDirectory(prefix="pasquin-") as folder:
        with disk_errors("write to the temporary folder"):
            if urlsplit(url).scheme == "s3":
                copies = _from_s3(url, suffixes, Path(folder), settings)
            else:
                copies = [(_from_web(url, Path(folder), settings), _shown(url))]
        yield copies


def _shown(url: str) -> str:
    """The address without user, query and fragment, where secrets are."""
    from pasquin.networks.transport import shown

    return shown(url)


def _from_web(url: str, folder: Path, settings: CollectSettings) -> Path:
    from pasquin.networks.transport import Oversized, shared

    path = folder / (Path(unquote(urlsplit(url).path)).name[-100:] or "file")
    try:
        with path.open("wb") as handle:
            shared(settings).download(url, handle, max_bytes=settings.max_download_bytes)
    except Oversized as exc:
        raise _too_large(_shown(url), settings) from exc
    return path


def _too_large(what: str, settings: CollectSettings) -> ResourceError:
    return ResourceError(
        f"{what} is larger than {settings.max_download_bytes:,} bytes. Raise max_download_bytes in [collect] if there "
        "is room for it in the temporary folder."
    )


def _from_s3(url: str, suffixes: tuple[str, ...], folder: Path, settings: CollectSettings) -> list[tuple[Path, str]]:
    files = _s3()
    try:
        names = sorted(files.glob(url) if any(letter in url for letter in "*?[") else files.find(url))
        if not names:
            raise InputError(f"There is nothing at {url[:200]}. Check the bucket and the name.")
        wanted = [name for name in names if len(names) == 1 or plain_suffix(Path(name)) in suffixes]
        if not wanted:
            raise InputError(f"There is no {' or '.join(suffixes)} file at {url[:200]}.")
        if sum(int(files.size(name) or 0) for name in wanted) > settings.max_download_bytes:
            raise _too_large(url[:200], settings)
        found = []
        for number, name in enumerate(wanted):
            path = folder / str(number) / Path(name).name[-100:]
            path.parent.mkdir()
            with files.open(name, "rb", cache_type="none") as source, path.open("wb") as target:
                _copy(source, target)
            found.append((path, f"s3://{name}"))
    except FileNotFoundError as exc:
        raise InputError(f"There is nothing at {url[:200]}. Check the bucket and the name.") from exc
    except Exception as exc:  # those of three packages, which may not be there to be named
        if isinstance(exc, PasquinError) or getattr(exc, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NetworkError(
            f"{url[:200]} cannot be read ({type(exc).__name__}). Check the name and the credentials "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL; without any, only public buckets open)."
        ) from exc
    return found


def _copy(source: Any, target: IO[bytes]) -> None:
    while chunk := source.read(_CHUNK):
        target.write(chunk)


def _s3() -> Any:
    """s3fs's file system, with the credentials of the environment, or without any."""
    try:
        s3fs = importlib.import_module("s3fs")
        session = importlib.import_module("botocore.session").get_session()
    except ImportError as exc:
        raise UsageError("Reading from s3:// needs one more package: pip install 'pasquin[data]'.") from exc
    return s3fs.S3FileSystem(anon=session.get_credentials() is None)
