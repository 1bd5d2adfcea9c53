"""The workspace: the directory in which a person's posts, corpora, models and database live.

    pasquin.toml      settings (never secrets)
    pasquin.db        everything people do
    posts/<network>/<account>/*.parquet
    corpora/<name>/   posts.parquet, report.html, manifest.json
    models/<name>/    a model in the Hugging Face layout, manifest.json
    quarantine/       input that could not be read, one file a source

Opening, naming and locking are here; shards of posts in `shards`, manifests and atomic files in `files`.
"""

from __future__ import annotations

import fcntl
import os
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pasquin.errors import CorpusError, ModelError, UsageError, WorkspaceError, disk_errors
from pasquin.workspace.files import MANIFEST, barred_error, make_folder, read_manifest, write_atomically

TOML = "pasquin.toml"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
FORMAT = 1
"""Of the layout above; written into `pasquin.toml`."""
UPDATE = "Update Pasquin: pip install --upgrade pasquin"
"""What to do about a later format."""
_TOML_TEXT = f"""\
# Settings of this Pasquin workspace. Every stage has a table; `pasquin STAGE --help` lists what can be set.
# Secrets do not belong here: they come from the environment or the keyring.

[workspace]
format = {FORMAT}
"""


def check_name(name: str, what: str) -> str:
    """`name` if it can be a corpus or model name (and so a directory name); UsageError otherwise."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"`{name}` cannot be the name of a {what}: use up to 64 letters, digits, dots, dashes and underscores."
        )
    return name


@dataclass(frozen=True)
class Workspace:
    """An opened workspace directory."""

    root: Path

    @classmethod
    def create(cls, root: Path) -> Workspace:
        """Make `root` a workspace; one that is there already is left as it is.

        Raises WorkspaceError when the directory cannot be written, or has a later format.
        """
        with disk_errors(f"make a workspace in {root}"):
            make_folder(root)
            if not (root / TOML).exists():
                write_atomically(root / TOML, _TOML_TEXT)
        return cls(root.resolve())._of_known_format()

    @classmethod
    def open(cls, start: Path | None = None) -> Workspace:
        """The workspace at `start`, or the nearest one from the current directory upward when `start` is None.

        Raises WorkspaceError when there is none, this user may not enter it, or it has a later format.
        """
        if start is not None:
            if not _is_workspace(start):
                raise WorkspaceError(f"{start} is not a Pasquin workspace. Make it one with `pasquin init {start}`.")
            return cls(start.resolve())._of_known_format()
        nearest = cls.nearest()
        if nearest is None:
            raise WorkspaceError(
                "There is no Pasquin workspace here or above. Make one with `pasquin init NAME` and change into it, "
                "or name one with --workspace DIR."
            )
        return nearest._of_known_format()

    @classmethod
    def nearest(cls) -> Workspace | None:
        """The nearest workspace from the current directory upward, of whatever format; None when there is none.

        Raises WorkspaceError when this user may not look.
        """
        here = Path.cwd()
        return next((cls(folder) for folder in (here, *here.parents) if _is_workspace(folder)), None)

    def _of_known_format(self) -> Workspace:
        if later := later_format(self.toml):
            raise WorkspaceError(f"{later} {UPDATE}")
        return self

    @property
    def toml(self) -> Path:
        """Path of `pasquin.toml`."""
        return self.root / TOML

    @property
    def posts(self) -> Path:
        """Folder of post shards."""
        return self.root / "posts"

    @property
    def quarantine(self) -> Path:
        """Folder of input that could not be read."""
        return self.root / "quarantine"

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the store: `PASQUIN_DATABASE_URL`, or `pasquin.db` in the workspace."""
        return os.environ.get("PASQUIN_DATABASE_URL") or f"sqlite:///{self.root / 'pasquin.db'}"

    def corpus_dir(self, name: str) -> Path:
        """Where the corpus `name` lives, whether or not it is there yet."""
        return self.root / "corpora" / check_name(name, "corpus")

    def model_dir(self, name: str) -> Path:
        """Where the model `name` lives, whether or not it is there yet."""
        return self.root / "models" / check_name(name, "model")

    def corpora(self) -> list[str]:
        """Names of complete corpora, sorted."""
        return _complete(self.root / "corpora")

    def models(self) -> list[str]:
        """Names of complete models, sorted."""
        return _complete(self.root / "models")

    def models_of(self, corpus: str) -> list[str]:
        """Names of complete models that learned `corpus`; the one called like it comes first."""
        learned = (name for name in self.models() if self.model_manifest(name).get("corpus") == corpus)
        return sorted(learned, key=lambda name: (name != corpus, name))

    def corpus_manifest(self, name: str) -> dict[str, object]:
        """Manifest of a complete corpus; CorpusError when it is missing or unfinished."""
        manifest = read_manifest(self.corpus_dir(name))
        if manifest is None:
            there = ", ".join(self.corpora()) or "none yet"
            raise CorpusError(
                f"There is no corpus `{name}` (there are: {there}). Make it with `pasquin prepare {name}`."
            )
        return manifest

    def model_manifest(self, name: str) -> dict[str, object]:
        """Manifest of a complete model; ModelError when it is missing or unfinished."""
        manifest = read_manifest(self.model_dir(name))
        if manifest is not None:
            return manifest
        if self.model_dir(name).is_dir():
            raise ModelError(
                f"The model `{name}` is unfinished: its training did not end. "
                f"Go on with `pasquin train {name} --resume`."
            )
        there = ", ".join(self.models()) or "none yet"
        raise ModelError(f"There is no model `{name}` (there are: {there}). Train it with `pasquin train {name}`.")

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the workspace-wide lock `name` (for example `collect`); it goes with the process, however that ends.

        Raises WorkspaceError at once when another process holds it.
        """
        folder = self.root / ".locks"
        with disk_errors("lock the workspace"):
            folder.mkdir(exist_ok=True)
            handle = (folder / f"{name}.lock").open("w")
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise WorkspaceError(
                    f"Another `pasquin` is busy with {name} in {self.root}. Wait for it to end, then try again."
                ) from exc
            yield


def later_format(toml: Path) -> str | None:
    """What is said of a workspace whose format this Pasquin does not know; None when it knows it.

    None also when the file cannot be read: whoever wants its settings says that.
    """
    try:
        own = tomllib.loads(toml.read_text(encoding="utf-8")).get("workspace")
    except (OSError, ValueError):
        return None
    number = own.get("format", FORMAT) if isinstance(own, dict) else FORMAT
    if isinstance(number, int) and number <= FORMAT:
        return None
    return f"The workspace has format {number}, and this Pasquin knows up to {FORMAT}."


def _is_workspace(folder: Path) -> bool:
    try:
        return (folder / TOML).is_file()
    except PermissionError as exc:
        raise barred_error(folder / TOML) from exc


def _complete(folder: Path) -> list[str]:
    """Names of the folders in `folder` that have a manifest, sorted. Raises WorkspaceError when they cannot be seen."""
    try:
        there = sorted(folder.iterdir()) if folder.is_dir() else []
        return [entry.name for entry in there if not entry.name.startswith(".") and (entry / MANIFEST).is_file()]
    except PermissionError as exc:
        raise barred_error(Path(exc.filename)) from exc
