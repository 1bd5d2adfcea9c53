"""What Pasquin does to the characters of a post, the same for collected posts, completions and the game.

`normalise` mends what transport broke and never changes what the writer chose: curly quotes, emoji, scripts, line
breaks and spelling stay. `comparable` is what two texts are compared by: it forgets case, punctuation and spacing.
All functions are pure, accept any string at all (lone surrogates included) and are idempotent.
"""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from typing import Final

_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_LINE_END: Final = re.compile("\r\n?|[\u0085\u2028\u2029\u000b\u000c]")
# Controls, bidirectional overrides, invisible characters and non-characters. The joiners U+200C and U+200D stay: emoji
# and several scripts need them.
_INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff]"
)
# Tag characters hide text; only after a black flag do they mean something (the flags of England, Scotland, Wales).
_TAGS: Final = re.compile("(\U0001f3f4[\U000e0020-\U000e007e]{1,6}\U000e007f)|[\U000e0000-\U000e007f]")
_SPACES: Final = re.compile("[^\\S\n]+")
_AROUND_BREAK: Final = re.compile(" ?\n ?")
_MANY_BREAKS: Final = re.compile("\n{3,}")
# UTF-8 read as a one-byte encoding always shows a letter or symbol of these; emoji, curly quotes and Asian scripts
# alone are never mojibake, which spares most texts the slower check.
_MAYBE_MOJIBAKE: Final = re.compile("[\x80-\u052f√├┬╬╧]")

_CLOSING: Final = ".,;:!?)]}'\"”’»…"
_TLD: Final = (
    "com|net|org|edu|gov|info|news|blog|app|dev|page|social|io|co|ai|am|be|de|es|eu|fm|fr|gd|gl|im|in|is|it|la|li|ly|me|nl|"
    "ps|sh|so|st|to|tv|uk|us|vc|ws"
)
_PICTURE: Final = re.compile(r"[ \t]*pic\.(?:twitter|x)\.com/\S*", re.IGNORECASE)  # often glued to the last word
_LINK: Final = re.compile(r"[ \t]*(?:https?://\S*|(?<![\w@])www\.\S+)", re.IGNORECASE)
_BARE_LINK: Final = re.compile(
    rf"[ \t]*(?<![\w@./])(?:[a-z0-9][a-z0-9-]{{0,62}}\.){{1,4}}(?:{_TLD})/\S*", re.IGNORECASE
)
_EMPTY_BRACKETS: Final = re.compile(r" ?(?:\([ ]*\)|\[[ ]*\])")

_APOSTROPHES: Final = "'’‘ʼ`´"
_ASCII_COMPARABLE: Final = bytes(
    ord(chr(code).lower()) if chr(code).isalnum() or chr(code) in "$+<=>^|~" else ord(" ") for code in range(128)
) + bytes(128)
_ASCII_APOSTROPHES: Final = b"'`"
_PUNCTUATION: Final = ("P", "Z", "C")


def normalise(text: str) -> str:
    """`text` with entities and mojibake mended, invisible characters removed and whitespace tidied.

    Line breaks stay (three or more become two), other whitespace becomes single spaces, the ends are stripped. The
    result has no lone surrogates, control or bidirectional characters, and can be encoded as UTF-8.
    """
    if text.isascii() and _is_tidy(text):  # the common case, in which there is nothing to mend
        return text
    for _ in range(8):  # one pass can reveal work for the next (`&amp;lt;`); real texts need one or two
        mended = _mend(text)
        if mended == text:
            break
        text = mended
    return text


def _is_tidy(text: str) -> bool:
    """Whether a printable text has no entity, no two spaces in a row and none at its ends."""
    return text.isprintable() and "&" not in text and "  " not in text and text[:1] != " " != text[-1:]


def _mend(text: str) -> str:
    if _SURROGATE.search(text):
        # Pairs that were read apart (JSON escapes) become the character they mean, lone halves go.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    if "&" in text:
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if not text.isascii():
        if _MAYBE_MOJIBAKE.search(text):
            import ftfy

            text = ftfy.fix_encoding(text)
        text = unicodedata.normalize("NFC", text)
    if not text.replace("\n", "").isprintable():
        text = _LINE_END.sub("\n", _TAGS.sub(r"\1", text))
        text = _SPACES.sub(" ", _INVISIBLE.sub("", text))
    elif "  " in text:
        text = _SPACES.sub(" ", text)
    if "\n" in text:
        text = _MANY_BREAKS.sub("\n\n", _AROUND_BREAK.sub("\n", text))
    return text.strip(" \n\u200c\u200d")


def remove_links(text: str) -> str:
    """A normalised text without URLs, `pic.twitter.com/…` and links without a scheme (`bit.ly/…`).

    Punctuation behind a link stays with the sentence, brackets that held nothing but links go.
    """
    for _ in range(8):
        if "/" not in text and "w." not in text and "W." not in text:
            break
        small = text.casefold()
        shorter = text
        if ".com/" in small and ("c.t" in small or "c.x" in small):
            shorter = _PICTURE.sub(_behind_link, shorter)
        if "www." in small:
            shorter = _LINK.sub(_behind_link, shorter)
        elif "://" in shorter:  # looking from there on is all that is needed, and takes half as long
            before = shorter[: max(0, shorter.index("://") - len("https"))].rstrip(" \t")
            shorter = before + _LINK.sub(_behind_link, shorter[len(before) :])
        if "/" in shorter:
            shorter = _BARE_LINK.sub(_behind_link, shorter)
        if shorter == text:
            break
        text = normalise(_EMPTY_BRACKETS.sub("", shorter))
    return text


def _behind_link(match: re.Match[str]) -> str:
    link = match[0]
    return link[len(link.rstrip(_CLOSING)) :] or " "


def comparable(text: str) -> str:
    """What a text is compared by: case folded, compatibility forms and punctuation removed, words apart by one space.

    `Don’t  PANIC!` and `dont panic` are the same. Letters, digits, marks and symbols (emoji, currency) stay; a text
    that consists of punctuation alone is compared as it is.
    """
    if text.isascii():
        folded = b" ".join(text.encode().translate(_ASCII_COMPARABLE, _ASCII_APOSTROPHES).split()).decode()
    else:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
        folded = " ".join(folded.translate(_COMPARABLE).split())
    return folded or " ".join(text.split())


class _Comparable(dict[int, str]):
    """What comparing makes of a character (by code point), worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if character.isalnum() or character == "\u200d":
            made = character
        elif character in _APOSTROPHES or "\ufe00" <= character <= "\ufe0f":
            made = ""
        else:
            made = " " if unicodedata.category(character)[0] in _PUNCTUATION else character
        self[code] = made
        return made


_COMPARABLE: Final = _Comparable()


def text_key(text: str) -> str:
    """SHA-256, in hexadecimal, of what `text` is compared by: equal for texts that differ in case and punctuation."""
    return hashlib.sha256(comparable(text).encode("utf-8", "replace")).hexdigest()
