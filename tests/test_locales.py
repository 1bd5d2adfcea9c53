"""The page's languages: every file has every key, with the same places to fill in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

LOCALES = Path(__file__).parent.parent / "web" / "src" / "locales"
ENGLISH = json.loads((LOCALES / "en.json").read_text(encoding="utf-8"))


def places(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("path", sorted(LOCALES.glob("*.json")), ids=lambda path: path.stem)
def test_no_key_is_missing_and_none_is_too_many(path: Path) -> None:
    words = json.loads(path.read_text(encoding="utf-8"))
    assert set(ENGLISH) - set(words) == set()
    # Languages with more plural forms than English add them: `cards_few`, `cards_many`.
    extra = {key for key in set(words) - set(ENGLISH) if not re.search(r"_(zero|two|few|many)$", key)}
    assert extra == set()
    for key, english in ENGLISH.items():
        assert words[key].strip(), key
        assert places(words[key]) == places(english), key
