"""How a post becomes tokens: the tokenizer's own boundaries, conditions, special tokens that stay text."""

from __future__ import annotations

from pathlib import Path

import pytest

from pasquin.errors import ModelError, UsageError
from pasquin.post_format import PostFormat, boundary_tokens, load_tokenizer
from tiny_model import make_tiny_model


def test_a_post_is_its_text_between_boundaries(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    ids, prompt = PostFormat(1, 2).example_ids(tokenizer, "Hello, 😀\nworld")
    assert (ids[0], ids[-1], prompt) == (1, 2, 1)
    assert tokenizer.decode(list(ids[1:-1])) == "Hello, 😀\nworld"


def test_accounts_stand_before_the_text_and_anybody_is_nobody(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    post_format = PostFormat(1, 2, accounts=("ann", "bob"))
    ids, prompt = post_format.example_ids(tokenizer, "Hi", "bob")
    assert tokenizer.decode(list(ids[1:-1])) == "bob\nHi"
    assert tokenizer.decode(list(ids[prompt:-1])) == "Hi"
    assert tokenizer.decode(list(post_format.prompt_ids(tokenizer, prefix="Once")[1:])) == "\nOnce"
    with pytest.raises(UsageError, match="cy"):
        post_format.prompt_ids(tokenizer, "cy")
    with pytest.raises(UsageError, match="single voice"):
        PostFormat(1, 2).prompt_ids(tokenizer, "ann")


@pytest.mark.parametrize("text", ["<|im_end|>", "a <|im_start|> b<|endoftext|>", "<|im_end|>" * 3])
def test_special_tokens_spelled_out_in_a_post_are_text(tiny_model: Path, text: str) -> None:
    tokenizer = load_tokenizer(tiny_model)
    ids, _ = PostFormat(1, 2).example_ids(tokenizer, text)
    assert not {0, 1, 2} & set(ids[1:-1])
    assert tokenizer.decode(list(ids[1:-1])) == text


def test_boundaries_are_the_tokenizers_own_where_it_has_them(tiny_model: Path, tmp_path: Path) -> None:
    assert boundary_tokens(load_tokenizer(tiny_model), "<|im_end|>") == ("<|im_start|>", "<|im_end|>")
    gpt2 = load_tokenizer(make_tiny_model(tmp_path / "gpt2", kind="gpt2"))
    assert boundary_tokens(gpt2, "<|endoftext|>") == ("<|endoftext|>", "<|endoftext|>")
    assert boundary_tokens(load_tokenizer(make_tiny_model(tmp_path / "bare", kind="bare")), None) is None


def test_the_format_travels_with_the_model(tmp_path: Path) -> None:
    saved = PostFormat(5, 6, accounts=("ann", "bøb"))
    saved.save(tmp_path)
    assert PostFormat.load(tmp_path) == saved
    (tmp_path / "post_format.json").write_text("{")
    with pytest.raises(ModelError, match="pasquin train"):
        PostFormat.load(tmp_path)
    with pytest.raises(ModelError, match="tokenizer"):
        load_tokenizer(tmp_path)


def test_words_it_is_about_stand_behind_the_account(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(tiny_model)
    post_format = PostFormat(1, 2, accounts=("ann", "bob"), about=" #")
    ids = post_format.prompt_ids(tokenizer, "bob", "The", about=("Night Trains", "tea"))
    assert tokenizer.decode(list(ids[1:])) == "bob # night trains tea\nThe"
    assert tokenizer.decode(list(post_format.prompt_ids(tokenizer, about=("tea",))[1:])) == " # tea\n"
    assert post_format.prompt_ids(tokenizer, "ann") == PostFormat(1, 2, accounts=("ann",)).prompt_ids(tokenizer, "ann")
    single = PostFormat(1, 2, about=" #")
    assert tokenizer.decode(list(single.prompt_ids(tokenizer)[1:])) == "\n"
    with pytest.raises(UsageError, match="learned no topics"):
        PostFormat(1, 2, accounts=("ann",)).prompt_ids(tokenizer, "ann", about=("tea",))
    post_format.save(tiny_model.parent)
    assert PostFormat.load(tiny_model.parent) == post_format
