"""How X counts a text: weighted characters, 280 of them.

https://docs.x.com/fundamentals/counting-characters (configuration 3): a code point weighs 2, those of the listed ranges
(Latin and many other alphabets, some spaces and punctuation) 1, an emoji 2 however many code points it has, a link 23;
after NFC.
"""

from __future__ import annotations

import unicodedata
from typing import Final

import regex

from pasquin.lengths.links import with_links_as

MAX_WEIGHT: Final = 280
_LINK: Final = "x" * 23
_LIGHT: Final = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))
_EMOJI: Final = regex.compile(
    r"\p{Regional_Indicator}{2}"
    r"|[0-9#*]\uFE0F?\u20E3|[©®]\uFE0F?"
    r"|(?:\p{Emoji_Presentation}\uFE0F?|[\p{Emoji}--[0-9#*]]\uFE0F|\p{Emoji_Modifier_Base})\p{Emoji_Modifier}?"
    r"(?:[\U000E0020-\U000E007E]+\U000E007F)?"
    r"(?:\u200D(?:\p{Extended_Pictographic}|\p{Emoji_Presentation})\uFE0F?\p{Emoji_Modifier}?)*",
    regex.VERSION1,
)


def x_weight(text: str) -> int:
    """The weighted length of a text."""
    plain = with_links_as(unicodedata.normalize("NFC", text), _LINK)
    emoji = _EMOJI.findall(plain)
    return 2 * len(emoji) + sum(1 if _light(ord(one)) else 2 for one in _EMOJI.sub("", plain))


def _light(number: int) -> bool:
    return any(first <= number <= last for first, last in _LIGHT)
