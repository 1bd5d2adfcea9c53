"""Settings: flag over environment over file over default, and nonsense is named."""

from __future__ import annotations

import ast
import errno
import os
from pathlib import Path

import pytest

from pasquin import config
from pasquin.config import CollectSettings, PrepareSettings, TrainSettings, load, model_sampling
from pasquin.config.access import user
from pasquin.errors import UsageError


def test_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = tmp_path / "pasquin.toml"
    toml.write_text("[train]\nminutes = 1\nseed = 1\npatience = 7\n")
    monkeypatch.setenv("PASQUIN_TRAIN_MINUTES", "2")
    monkeypatch.setenv("PASQUIN_TRAIN_SEED", "2")
    settings = load(TrainSettings, toml, minutes=3.0, epochs=None)
    assert (settings.minutes, settings.seed, settings.patience, settings.steps) == (3.0, 2, 7, None)


def test_unknown_setting_is_named(tmp_path: Path) -> None:
    toml = tmp_path / "pasquin.toml"
    toml.write_text("[train]\nminuets = 1\n")
    with pytest.raises(UsageError, match="minuets"):
        load(TrainSettings, toml)


def test_nonsense_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="minutes"):
        load(TrainSettings, None, minutes=-1.0)
    with pytest.raises(UsageError, match="split"):
        load(PrepareSettings, None, split="alphabetical")
    monkeypatch.setenv("PASQUIN_TRAIN_SEED", "soon")
    with pytest.raises(UsageError, match="seed"):
        load(TrainSettings, None)
    monkeypatch.setenv("PASQUIN_COLLECT_COLUMNS", "text=body")
    with pytest.raises(UsageError, match="`columns` makes no sense: Expecting value"):
        load(CollectSettings, None)


def test_the_environment_gives_lists_and_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("pasquin_collect_columns", '{"text": "body"}')
    monkeypatch.setenv("PASQUIN_COLLECT_ACCEPTED_RULES", "a.example, b.example")
    monkeypatch.setenv("PASQUIN_COLLECT_NO_SUCH_SETTING", "1")
    settings = CollectSettings(workers=2)
    assert (settings.columns, settings.accepted_rules) == ({"text": "body"}, ("a.example", "b.example"))
    assert (settings.workers, settings.stage) == (2, "collect")


@pytest.mark.parametrize("content", [b"[train", b"\xff\xfe", b"train = 3\n"])
def test_broken_file_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    toml = tmp_path / "pasquin.toml"
    toml.write_bytes(content)
    with pytest.raises(UsageError):
        load(TrainSettings, toml)


@pytest.mark.parametrize(
    ("code", "says"), [(errno.EACCES, r"pasquin\.toml may not be read by the user"), (errno.EIO, "cannot be read")]
)
def test_a_file_that_cannot_be_read_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, says: str
) -> None:
    (tmp_path / "pasquin.toml").touch()

    def refuse(*_: object, **__: object) -> str:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(UsageError, match=says):
        load(TrainSettings, tmp_path / "pasquin.toml")


def test_the_remedy_for_what_may_not_be_read_names_owner_and_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sampling.json").touch()

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(UsageError, match=f"Give its owner that right: chmod -R u\\+rwX {tmp_path}"):
        model_sampling(tmp_path)
    owner = user()
    monkeypatch.setattr("os.geteuid", lambda: 4_242_424)
    with pytest.raises(UsageError, match=f"as its owner, `{owner}`, or change the owner: chown -R 4242424 {tmp_path}"):
        model_sampling(tmp_path)


def test_every_setting_is_documented() -> None:
    """A setting whose meaning is not written under it is one nobody can use."""
    seen = set()
    for module in Path(config.__file__).parent.glob("*.py"):
        for node in ast.parse(module.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Settings") and node.name != "StageSettings":
                seen.add(node.name)
                for field, after in zip(node.body, [*node.body[1:], None], strict=True):
                    if isinstance(field, ast.AnnAssign):
                        assert isinstance(after, ast.Expr), f"{node.name}.{ast.unparse(field.target)}"
    offered = {name for name in config.__all__ if name.endswith("Settings")}
    assert seen == offered - {"StageSettings"}
