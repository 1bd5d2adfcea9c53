"""What a bot must not say, by looking at a text alone: other people's names, links, private data, words of hate.

Reasons, in the order in which they are tried: `mention` (`@name` pings a real person), `link` (a model's links lead
nowhere, or somewhere nobody chose), `personal` (e-mail and street addresses, telephone, card, bank account and social
security numbers: remembered or invented, they may be somebody's), `blocked` (a word of the block list).

The block list is `DEFAULT_BLOCKED`, words used to degrade groups of people, and the workspace's own `blocklist.txt`:
a word or phrase a line, `word*` for all that begins like it, `!word` for one of the default list that is welcome here,
`#` before a comment. Case, accents, look-alike digits and drawn-out letters make no difference.

Not covered: hate without such words, threats, irony, defamation. A person reads what is published; this makes sure
that the person is not the first to notice.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from pasquin.errors import UsageError
from pasquin.texts import remove_links

SAFETY_REASONS: Final = ("mention", "link", "personal", "blocked")
"""Why a text is unsafe, in the order in which it is looked at."""
BLOCKLIST: Final = "blocklist.txt"

_MENTION: Final = re.compile(r"(?<![\w@./+-])@\w{2,}")
_EMAIL: Final = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})*\.[a-z]{2,24}\b", re.IGNORECASE)
_DIGIT: Final = re.compile(r"\d")
_LONG_NUMBER: Final = re.compile(r"(?<![\w.])\d(?:[ -]?\d){12,18}(?!\w)")
_IBAN: Final = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_SOCIAL_SECURITY: Final = re.compile(r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])")
_STREET: Final = re.compile(
    r"\b\d{1,5}[a-z]? (?:[A-Z][\w'-]{1,20} ){1,3}(?:St(?:reet)?|Ave(?:nue)?|R(?:oa)?d|Lane|Ln|Dr(?:ive)?|Boulevard|"
    r"Blvd|Court|Way|Square|Terrace)\b\.?|\b[A-ZÄÖÜ][\wäöüß-]{2,24}(?:straße|strasse|weg|platz|gasse) \d{1,4}\b"
)
_MAYBE_STREET: Final = re.compile(r"[\degz](?:(?<=\d)[a-z]? [A-Z]|(?<=[egz]) \d)")
"""Stands in every text with an address that `_STREET` finds, and is found in a fraction of its time."""
_PHONE_REGIONS: Final = ("US", "GB", "DE", "FR")
"""Where telephone numbers without a country code are tried as being from."""
_LEAST_DIGITS: Final = 7
_NUMBER: Final = re.compile(rf"\d(?:[\Wx]{{0,4}}\d){{{_LEAST_DIGITS - 1}}}")
"""So many digits with nothing between them that does not stand in telephone numbers."""

# Turned by thirteen places, so that nobody comes upon these words who only reads the source.
DEFAULT_BLOCKED: Final = tuple(
    codecs.decode((Path(__file__).parent / "blocked.rot13").read_text(encoding="ascii"), "rot13").splitlines()
)
"""Words whose use as insults against groups is their main one; `word*` stands for all that begins like it."""

_LOOK_ALIKES: Final = str.maketrans("013457@$", "oieastas")
_DRAWN_OUT: Final = re.compile(r"(\w)\1{2,}")


class Safety:
    """Judges texts; `allow` are reasons that are none here."""

    def __init__(self, blocked: Iterable[str] = DEFAULT_BLOCKED, allow: Collection[str] = ()) -> None:
        """`blocked` are words and phrases as `DEFAULT_BLOCKED` writes them. Raises UsageError for an unknown reason."""
        unknown = sorted(set(allow) - set(SAFETY_REASONS))
        if unknown:
            raise UsageError(f"`{unknown[0]}` cannot be allowed; what can is {', '.join(SAFETY_REASONS)}, language.")
        self._allowed = frozenset(allow)
        self._blocked = _pattern(blocked)

    @classmethod
    def of(cls, root: Path, allow: Collection[str] = ()) -> Safety:
        """The safety of the workspace at `root`, with its `blocklist.txt` where it has one.

        Raises UsageError when that file is no UTF-8 text.
        """
        try:
            lines = (root / BLOCKLIST).read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            lines = []
        except UnicodeDecodeError as exc:
            raise UsageError(f"{root / BLOCKLIST} is no UTF-8 text. Save it as UTF-8.") from exc
        own = [line.partition("#")[0].strip() for line in lines]
        welcome = {word[1:].strip().casefold() for word in own if word.startswith("!")}
        kept = [word for word in DEFAULT_BLOCKED if word.rstrip("*") not in {word.rstrip("*") for word in welcome}]
        return cls([*kept, *(word for word in own if word and not word.startswith("!"))], allow)

    def judge(self, text: str) -> str | None:
        """The first of `SAFETY_REASONS` that speaks against a normalised `text`, None when none does."""
        if "mention" not in self._allowed and _MENTION.search(text):
            return "mention"
        if "link" not in self._allowed and remove_links(text) != text:
            return "link"
        if "personal" not in self._allowed and is_personal(text):
            return "personal"
        return "blocked" if "blocked" not in self._allowed and self._is_blocked(text) else None

    def _is_blocked(self, text: str) -> bool:
        if self._blocked is None:
            return False
        plain = _plain(text)
        forms = {plain, plain.translate(_LOOK_ALIKES)}
        forms |= {_DRAWN_OUT.sub(r"\1", form) for form in forms} | {_DRAWN_OUT.sub(r"\1\1", form) for form in forms}
        return any(self._blocked.search(form) for form in forms)


def _pattern(words: Iterable[str]) -> re.Pattern[str] | None:
    parts = []
    for word in words:
        stem = _plain(word.rstrip("*")).strip()
        if stem:
            parts.append(r"\s+".join(map(re.escape, stem.split())) + (r"\w*" if word.endswith("*") else ""))
    return re.compile(rf"(?<!\w)(?:{'|'.join(sorted(parts))})(?!\w)") if parts else None


def _plain(text: str) -> str:
    """`text` in lower case, without accents and compatibility forms."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def is_personal(text: str) -> bool:
    """Whether somebody's private data seem to stand in `text`: see `personal` above."""
    if "@" in text and _EMAIL.search(text):
        return True
    digit = _DIGIT.search(text)
    if digit is None:
        return False
    begin = digit.start()
    if _MAYBE_STREET.search(text, max(0, begin - 2)) and _STREET.search(text):
        return True
    if not _NUMBER.search(text, begin):
        return False
    if _SOCIAL_SECURITY.search(text) or any(_passes_luhn(match[0]) for match in _LONG_NUMBER.finditer(text)):
        return True
    return any(_is_iban(match[0]) for match in _IBAN.finditer(text)) or _has_phone(text)


def _has_phone(text: str) -> bool:
    """Whether a valid telephone number stands in `text`, by Google's numbering plans."""
    import phonenumbers

    return any(phonenumbers.PhoneNumberMatcher(text, region).has_next() for region in _PHONE_REGIONS)


def _passes_luhn(number: str) -> bool:
    """The check of payment cards (ISO/IEC 7812-1, annex B)."""
    digits = [int(character) for character in reversed(number) if character.isdecimal()]
    if len(set(digits)) == 1:
        return False
    return sum(digits[0::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0


def _is_iban(number: str) -> bool:
    """The check of bank account numbers (ISO 13616: modulo 97 of the rearranged number is 1)."""
    compact = number.replace(" ", "")
    return 15 <= len(compact) <= 34 and int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1
