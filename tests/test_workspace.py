"""The workspace directory: found, locked, never half written."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pasquin.errors import CorpusError, ModelError, ResourceError, UsageError, WorkspaceError
from pasquin.workspace import Workspace, check_name
from pasquin.workspace.files import read_manifest, replacing, write_atomically, write_manifest


def test_nearest_workspace_upward_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Workspace.create(tmp_path / "bot")
    deep = tmp_path / "bot" / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert Workspace.open().root == (tmp_path / "bot").resolve()


def test_no_workspace_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorkspaceError, match="pasquin init"):
        Workspace.open()
    with pytest.raises(WorkspaceError, match="pasquin init"):
        Workspace.open(tmp_path / "nowhere")


def test_a_later_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = Workspace.create(tmp_path).toml
    monkeypatch.chdir(tmp_path)
    toml.write_text("[workspace]\nformat = 2\n")
    for opening in (Workspace.open, lambda: Workspace.open(tmp_path), lambda: Workspace.create(tmp_path)):
        with pytest.raises(WorkspaceError, match=r"format 2, and this Pasquin knows up to 1\. Update Pasquin"):
            opening()
    for text in ("", "workspace = 3", "[workspace]\nformat = 1\n", "[workspace\n"):  # doctor says what is no TOML
        toml.write_text(text)
        assert Workspace.open() == Workspace(tmp_path)


def refuse(path: Path, **_: object) -> None:
    """What the system says to whoever has no right to a file."""
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_what_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_manifest(tmp_path, {})
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(WorkspaceError, match=r"manifest\.json may not be read by the user") as error:
        read_manifest(tmp_path)
    assert "damaged" not in str(error.value)


def test_a_folder_that_may_not_be_entered_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace.create(tmp_path)
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(WorkspaceError, match="models may not be read"):
        workspace.models()
    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(WorkspaceError, match="may not be read"):
        Workspace.open(tmp_path)


def test_making_a_workspace_twice_keeps_its_settings(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    workspace.toml.write_text("[train]\nminutes = 3\n")
    Workspace.create(tmp_path)
    assert "minutes = 3" in workspace.toml.read_text()


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 65, "a\0b", "-rf"])
def test_names_cannot_leave_the_workspace(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name, "corpus")


def test_missing_and_unfinished_models_are_told_apart(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    with pytest.raises(ModelError, match="pasquin train vc`"):
        workspace.model_manifest("vc")
    workspace.model_dir("vc").mkdir(parents=True)
    with pytest.raises(ModelError, match="--resume"):
        workspace.model_manifest("vc")
    with pytest.raises(CorpusError, match="pasquin prepare"):
        workspace.corpus_manifest("vc")


def test_damaged_manifest_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b'{"kind": \xff')
    with pytest.raises(WorkspaceError, match="damaged"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(WorkspaceError, match="damaged"):
        read_manifest(tmp_path)


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pasquin.workspace.write_atomically", no_space)
    with pytest.raises(ResourceError, match="disk is full"):
        Workspace.create(tmp_path / "bot")


def test_manifest_round_trip(tmp_path: Path) -> None:
    write_manifest(tmp_path, {"kind": "corpus", "name": "çä"})
    assert read_manifest(tmp_path) == {"kind": "corpus", "name": "çä"}
    assert json.loads((tmp_path / "manifest.json").read_text())["name"] == "çä"


def test_lock_excludes_another_process_and_goes_with_it(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    code = (
        "import sys, time, pathlib; from pasquin.workspace import Workspace\n"
        "with Workspace(pathlib.Path(sys.argv[1])).lock('collect'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(workspace.root)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(WorkspaceError, match="busy with collect"), workspace.lock("collect"):
            pass
        other.kill()
        other.wait()
        with workspace.lock("collect"):
            pass


def test_the_models_of_a_corpus_begin_with_its_namesake(tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path)
    for name, corpus in (("a-gpt2", "village"), ("other", "town"), ("village", "village")):
        workspace.model_dir(name).mkdir(parents=True)
        write_manifest(workspace.model_dir(name), {"kind": "model", "name": name, "corpus": corpus})
    assert workspace.models_of("village") == ["village", "a-gpt2"]
    assert workspace.models_of("nowhere") == []
