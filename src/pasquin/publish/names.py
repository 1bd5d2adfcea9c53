"""Whether a name could be taken for another: by case, spaces, ornaments, look-alike characters, or one slip.

The look-alikes are those of Unicode's security mechanisms (UTS #39): each character stands for the class of characters
that look like it. Comparing is done with several readings of a name, as an I may stand for an i or for an l.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Final

from pasquin.errors import ResourceError

_FILLERS: Final = frozenset({"official", "real", "the", "verified", "original", "actual", "true", "genuine"})
_ORNAMENTS: Final = re.compile("[™®©℠]")
_LEET: Final = str.maketrans({"3": "e", "4": "a", "5": "s", "7": "t", "$": "s", "@": "a", "!": "i", "+": "t", "8": "b"})
_PAIRS: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"))
_SLIP_FROM: Final = 8
"""Names of so many letters are also compared with one slip of the pen allowed."""


def could_be_taken_for(name: str, original: str) -> bool:
    """Whether `name` is `original` in another dress."""
    mine, theirs = _readings(name), _readings(original)
    theirs.discard("")
    if mine & theirs:
        return True
    return any(min(len(one), len(other)) >= _SLIP_FROM and _one_slip(one, other) for one in mine for other in theirs)


def says_parody_first(name: str) -> bool:
    """Whether a name begins with the word parody, or AI."""
    words = re.findall(r"\w+", _plain(name).casefold().replace("a.i.", "ai"))
    return bool(words) and (words[0] in {"ai", "parody", "parodie", "parodia"} or words[0].startswith("parody"))


def _readings(name: str) -> set[str]:
    """What somebody may read, in small letters and nothing between them."""
    plain = _plain(_ORNAMENTS.sub("", name).strip().removeprefix("@").replace("🤖", " bot "))
    words = [word for word in re.split(r"[\s_.,;:|/\\-]+", plain) if word]
    kept = [word for word in words if _letters(word.casefold()) not in _FILLERS] or words
    read = set()
    for joined in {"".join(words), "".join(kept)}:
        for text in (
            _skeleton(joined).casefold(),
            _skeleton(joined.casefold()),
            _skeleton(joined.casefold().translate(_LEET)),
        ):
            letters = _letters(text)
            for pair, one in _PAIRS:
                letters = letters.replace(pair, one)
            read.add(letters)
    return read


def _plain(name: str) -> str:
    """Compatibility forms resolved (ｆｕｌｌ width, 𝗯𝗼𝗹𝗱), marks and invisible characters gone."""
    opened = unicodedata.normalize("NFKD", name)
    return "".join(one for one in opened if unicodedata.category(one) not in {"Mn", "Me", "Cf", "Cc"} or one in "\n\t")


def _letters(text: str) -> str:
    return "".join(one for one in text if one.isalnum())


def _skeleton(text: str) -> str:
    looks = _looks()
    return "".join(looks.get(one, one) for one in text)


@cache
def _looks() -> dict[str, str]:
    """Character -> the one that stands for all that look like it, a plain letter or digit where there is one."""
    try:
        from confusable_homoglyphs.confusables import confusables_data
    except ImportError as exc:
        raise ResourceError('Publishing needs packages: `pip install "pasquin[publish]"`.') from exc
    parents: dict[str, str] = {}

    def root(one: str) -> str:
        while parents.setdefault(one, one) != one:
            one = parents[one]
        return one

    for one, others in confusables_data.items():
        for other in others:
            if len(one) == 1 and len(other["c"]) == 1:
                first, second = sorted((root(one), root(other["c"])), key=_plainness)
                parents[second] = first
    return {one: root(one) for one in parents}


def _plainness(one: str) -> tuple[bool, bool, bool, str]:
    return (not (one.isascii() and one.isalnum()), one.isdigit(), one.isupper(), one)


def _one_slip(one: str, other: str) -> bool:
    """Whether one insertion, deletion, replacement or swap of neighbours makes the one the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    a, b = one[start:], other[start:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[2:] == b[2:] and a[:2] == b[:2][::-1])
