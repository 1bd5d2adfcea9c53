"""What networks make a link of."""

from __future__ import annotations

from typing import Final

import regex

_TLDS: Final = (
    "com|org|net|io|co|ai|app|dev|edu|gov|info|me|ly|gg|tv|uk|de|fr|it|es|eu|us|ca|au|jp|in|br|ru|ch|nl|se|no|pl|be|at|"
    "xyz|social|blog|news|link|online|site|tech|cloud|page|wiki|club|shop|live|world|art|bio|biz|mobi|name|pro|tel"
)
LINK: Final = regex.compile(
    r"(?<![\p{L}\p{N}@＠#＃_.-])(?:https?://[^\s<>\"“”«»]+[^\s<>\"“”«».,;:!?)\]'’]|"
    rf"(?:[\p{{L}}\p{{N}}](?:[\p{{L}}\p{{N}}-]{{0,61}}[\p{{L}}\p{{N}}])?\.)+(?:{_TLDS})(?![\p{{L}}\p{{N}}_-])(?:/[^\s]*)?)",
    regex.IGNORECASE,
)


def has_link(text: str) -> bool:
    """Whether networks would make a link of some of the text."""
    return LINK.search(text) is not None


def with_links_as(text: str, stand_in: str) -> str:
    """The text with `stand_in` for each link."""
    return str(LINK.sub(stand_in, text))
