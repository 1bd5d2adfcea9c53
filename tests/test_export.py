"""What leaves the workspace: a model's directory, here or on the hub, with a card and without anybody's words."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pasquin.errors import AccountRefused, Interrupted, ModelError, NetworkError, PasquinError, Refused, UsageError
from pasquin.export.folder import export_folder
from pasquin.export.hub import push
from pasquin.measure.simulation import World
from pasquin.model_card import model_card
from pasquin.post_format import PostFormat, load_tokenizer
from pasquin.workspace import Workspace
from pasquin.workspace.files import file_hash, write_manifest
from played import make_played
from tiny_model import make_tiny_model

SECRET = "a sentence that somebody really posted"
TOKEN = "hf_thisIsSecretAndNeverShown"
REPO = "ada/village-parody"
BITS = {"before": 3.0, "after": 2.5}


@pytest.fixture
def workspace(tmp_path: Path, tiny: Path) -> Workspace:
    """A trained model whose directory holds more than may leave."""
    workspace = Workspace.create(tmp_path / "bot")
    folder = workspace.model_dir("village")
    folder.mkdir(parents=True)
    for path in tiny.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    PostFormat(1, 2, accounts=("ada_baker",)).save(folder)
    entry = {"step": 4, "seconds": 6.0, "tokens": 10, "validation": 2.5, "copied": 0.5, "samples": [SECRET]}
    (folder / "history.jsonl").write_text(json.dumps(entry) + "\n")
    for name in ("README.md", "report.html", "training.log", "output_tokens.json", "posts.json"):
        (folder / name).write_text(SECRET)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "model.safetensors").write_text(SECRET)
    result = {"seconds": 6.0, "tokens": 10, "tokens_per_second": 2.0, "bits_per_byte": BITS, "best_step": 4}
    write_manifest(
        folder,
        {
            "kind": "model", "name": "village", "base": "/home/ada/secret/base-model", "corpus": "village",
            "corpus_hash": "0" * 64, "method": "full", "settings": {"model": "/home/ada/secret/base-model"}, "seed": 0,
            "accounts": ["ada_baker"], "result": {**result, "verbatim_rate": 0.01},
            "hash": file_hash(folder / "model.safetensors"),
        },
    )  # fmt: skip
    return workspace


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


def test_an_exported_directory_is_the_model_and_none_of_anybodys_words(workspace: Workspace, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    output = tmp_path / "out"
    result = export_folder(workspace, "village", output)
    files = {path.name: path for path in output.iterdir()}
    assert {file["name"]: file["bytes"] for file in result["files"]} == {
        name: path.stat().st_size for name, path in files.items()
    }
    assert {"README.md", "model.safetensors", "tokenizer.json", "post_format.json"} < set(files)
    assert not {"manifest.json", "history.jsonl", "report.html", "posts.json", "training.log"} & set(files)
    for path in files.values():
        assert SECRET.encode() not in path.read_bytes()
        assert b"/home/ada" not in path.read_bytes()
        assert str(tmp_path).encode() not in path.read_bytes()
    card = files["README.md"].read_text()
    assert "| 4 | 0.1 | 2.500 | 50% |" in card
    assert "`base-model`" in card
    assert "1.0%" in card
    source = workspace.model_dir("village")
    ids = AutoTokenizer.from_pretrained(output).encode("The cat", add_special_tokens=False)
    assert ids == load_tokenizer(source).encode("The cat", add_special_tokens=False).ids
    ours, theirs = (AutoModelForCausalLM.from_pretrained(folder) for folder in (source, output))
    with torch.no_grad():
        assert torch.equal(ours(torch.tensor([ids])).logits, theirs(torch.tensor([ids])).logits)


def test_only_an_earlier_export_is_replaced(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    export_folder(workspace, "village", output)
    (output / "vocab.json").write_text("of an older model")
    export_folder(workspace, "village", output)
    assert not (output / "vocab.json").exists()
    before = sorted(path.name for path in tmp_path.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr("shutil.copyfile", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(PasquinError, match="disk is full"):
            export_folder(workspace, "village", tmp_path / "second")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    (output / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        export_folder(workspace, "village", output)
    assert (output / "thesis.txt").exists()
    (workspace.model_dir("village") / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"lacks tokenizer\.json"):
        export_folder(workspace, "village", tmp_path / "third")


def test_the_card_tells_the_fool_rate_beside_the_human_pass_rate(workspace: Workspace, tmp_path: Path) -> None:
    make_played(workspace, World(players=12, items=40))
    export_folder(workspace, "village", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "fool rate: its texts taken for a person's" in card
    assert "human pass rate: real posts" in card
    assert "12 players" in card


def test_the_card_of_a_model_that_learned_from_people_tells_what_came_of_it() -> None:
    result = {
        "seconds": 9.0, "tokens": 900, "bits_per_byte": BITS, "verbatim_rate": 0.02, "parent": "village",
        "feedback": {"liked": 60, "disliked": 50, "held_out": 20}, "auc": {"before": 0.5, "after": 0.8, "reward": 0.9},
    }  # fmt: skip
    card = model_card(
        {"name": "liked", "base": "smollm2", "corpus": "village", "corpus_hash": "0", "method": "kto", "settings": {},
         "seed": 0, "accounts": [], "result": result},
        {}, [],
    )  # fmt: skip
    assert "Made of the model `village`" in card
    assert "before | 50% |" in card
    assert "after (50% is chance) | 80% |" in card
    assert "best at step" not in card
    assert "loss.svg" not in card


class Hub(ThreadingHTTPServer):
    """As much of the hub's API as a push needs: one repository, in memory."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files: dict[str, bytes] | None = None
        self.private = True
        self.refuse: dict[str, int] = {}
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        return None

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        hub, path = self.server, self.path
        hub.tokens.add(self.headers.get("Authorization"))
        for part, status in hub.refuse.items():
            if part in path:
                return self._send({"error": f"no: {status}"}, status)
        if path == f"/api/models/{REPO}":
            if hub.files is None:
                return self._send({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            siblings = [{"rfilename": name} for name in hub.files]
            return self._send({"id": REPO, "private": hub.private, "siblings": siblings, "sha": "0" * 40})
        if path == "/api/repos/create":
            asked = json.loads(body)
            hub.files, hub.private = {".gitattributes": b""}, asked.get("visibility") == "private"
            return self._send({"url": f"{hub.url}/{REPO}"})
        if path.endswith("/preupload/main"):
            named = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
            return self._send({"files": [{**file, "shouldIgnore": False} for file in named]})
        if path.endswith("/commit/main"):
            assert hub.files is not None
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    hub.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "deletedFile":
                    del hub.files[line["value"]["path"]]
            return self._send({"commitUrl": f"{hub.url}/{REPO}/commit/{'1' * 40}", "commitOid": "1" * 40})
        return self._send({})

    def _send(self, answer: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        always = {"Content-Length": str(len(content)), "Content-Type": "application/json"}
        for name, value in (always | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_push_is_private_and_what_export_writes(workspace: Workspace, hub: Hub, tmp_path: Path) -> None:
    planned = push(workspace, "village", REPO, dry_run=True)
    assert hub.tokens == set()
    done = push(workspace, "village", REPO)
    export_folder(workspace, "village", tmp_path / "out")
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert hub.files == {".gitattributes": b"", **written}
    assert done["files"] == planned["files"]
    assert {file["name"] for file in planned["files"]} | {".gitattributes"} == set(hub.files)
    assert hub.private
    assert hub.tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in json.dumps(done)
    hub.files["vocab.json"] = b"of an older model"
    push(workspace, "village", REPO, public=True)
    assert "vocab.json" not in hub.files
    assert hub.private


def test_a_repository_that_is_public_or_something_else_is_left_alone(workspace: Workspace, hub: Hub) -> None:
    asked: list[str] = []

    def no(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(Interrupted):
        push(workspace, "village", REPO, public=True, confirm=no)
    assert REPO in asked[0]
    assert hub.tokens == set()
    hub.files, hub.private = {"README.md": b"", "post_format.json": b""}, False
    with pytest.raises(UsageError, match="public"):
        push(workspace, "village", REPO)
    push(workspace, "village", REPO, public=True)
    hub.files, hub.private = {"thesis.pdf": b"", "post_format.json": b""}, True
    with pytest.raises(UsageError, match=r"thesis\.pdf"):
        push(workspace, "village", REPO)
    hub.files = {"README.md": b"", "model.safetensors": b""}
    with pytest.raises(UsageError, match="something else"):
        push(workspace, "village", REPO)
    for name in ("village", "a/b/c", "../up", "ada/"):
        with pytest.raises(UsageError, match="no repository's name"):
            push(workspace, "village", name)


@pytest.mark.parametrize(
    ("part", "status", "error", "says"),
    [
        ("/api/models/ada", 401, AccountRefused, "token"),
        ("/repos/create", 403, AccountRefused, "owner"),
        ("/repos/create", 409, Refused, "meanwhile"),
        ("/commit/", 403, AccountRefused, "write"),
        ("/commit/", 500, NetworkError, "later"),
    ],
)
def test_what_the_hub_says_becomes_a_sentence(
    part: str, status: int, error: type[PasquinError], says: str, workspace: Workspace, hub: Hub
) -> None:
    hub.refuse[part] = status
    with pytest.raises(error, match=says) as found:
        push(workspace, "village", REPO)
    assert TOKEN not in str(found.value)
    assert hub.files in (None, {".gitattributes": b""})


def test_no_token_and_no_network_are_sentences(
    workspace: Workspace, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NetworkError, match="could not be reached"):
        push(workspace, "village", REPO)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(UsageError, match="HF_TOKEN"):
        push(workspace, "village", REPO)
