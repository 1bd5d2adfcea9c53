"""Pictures of bots: whether one is distinct from the original's, and making one that is.

Two pictures are compared by structure (a difference hash of 16 x 16 brightness steps, also against the mirrored and
cropped original) and by colour (an 8 x 8 grid of chroma). A bot's picture is distinct when its structure is another, or
when both structure and colour differ clearly: another tint alone is not enough, nor a small mark alone.

Limits: this sees what a thumbnail shows. It does not know faces.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pasquin.errors import InputError, ResourceError

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE: Final = 16
_GRID: Final = 8
_STEP: Final = 3
_MAX_PIXELS: Final = 50_000_000
STRUCTURE: Final = 0.20
"""Share of differing bits from which the structure is another: unrelated pictures have 0.25 and more, copies that were
cropped, tinted, blurred or framed less than 0.1."""
MARKED: Final = 0.10
"""Share of differing bits that a clear mark makes."""
COLOUR: Final = 0.08
"""Mean difference of chroma, of 1, that another palette makes."""
_SIZE: Final = 400


def distances(picture: bytes, original: bytes) -> tuple[float, float]:
    """Structure (share of bits, 0 to 1) and colour (0 to 1) by which two pictures differ.

    Raises InputError when one cannot be read.
    """
    mine, theirs = _opened(picture), _opened(original)
    own = _structure(mine)
    structure = min(_differing(own, _structure(view)) for view in _views(theirs))
    return structure, _colour_distance(mine, theirs)


def distinct(picture: bytes, original: bytes) -> bool:
    """Whether nobody would take the one for the other at a glance."""
    structure, colour = distances(picture, original)
    return structure >= STRUCTURE or (structure >= MARKED and colour >= COLOUR)


def make_avatar(original: bytes, *, mark: str = "AI") -> bytes:
    """A PNG of the original that is distinct from it: two colours, tilted, with a mark; more so until it is enough."""
    picture = _opened(original)
    made = b""
    for tilt, band, colours, stripes in _TREATMENTS:
        made = _drawn(picture, tilt, band, colours, mark, stripes)
        if distinct(made, original):
            return made
    return made


def make_mark(mark: str = "AI") -> bytes:
    """A PNG with nothing but the mark, for a bot whose original has no picture."""
    from PIL import Image

    return _drawn(Image.new("RGB", (_SIZE, _SIZE), (128, 128, 128)), 0, 0.5, _TREATMENTS[0][2], mark, 0)


_Colours = tuple[tuple[int, int, int], tuple[int, int, int]]
_TREATMENTS: Final[tuple[tuple[int, float, _Colours, int], ...]] = (
    (-8, 0.34, ((44, 20, 84), (255, 214, 102)), 0),
    (-14, 0.40, ((44, 20, 84), (255, 214, 102)), 0),
    (-14, 0.40, ((255, 214, 102), (44, 20, 84)), 0),
    (-20, 0.50, ((250, 240, 255), (0, 92, 85)), 10),
)


def _drawn(picture: Image, tilt: int, band: float, colours: _Colours, mark: str, stripes: int) -> bytes:
    from PIL import Image, ImageDraw, ImageFont, ImageOps

    grey = ImageOps.autocontrast(ImageOps.fit(picture.convert("L"), (_SIZE, _SIZE)))
    toned = ImageOps.colorize(grey, black=colours[0], white=colours[1])
    turned = toned.rotate(tilt, resample=Image.Resampling.BICUBIC, fillcolor=colours[0])
    draw = ImageDraw.Draw(turned)
    top = round(_SIZE * (1 - band))
    for place in range(stripes):
        left = _SIZE * place / stripes
        draw.rectangle((left, 0, left + _SIZE / stripes / 2, top), fill=colours[place % 2])
    draw.rectangle((0, top, _SIZE, _SIZE), fill=colours[0])
    draw.rectangle((0, top, _SIZE, top + 8), fill=colours[1])
    font = ImageFont.load_default(size=round((_SIZE - top) * 0.72))
    draw.text((_SIZE / 2, (top + 8 + _SIZE) / 2), mark, fill=colours[1], font=font, anchor="mm")
    content = io.BytesIO()
    turned.save(content, "PNG")
    return content.getvalue()


def _opened(content: bytes) -> Image:
    try:
        from PIL import Image, ImageOps
    except ImportError as exc:
        raise ResourceError('Publishing needs packages: `pip install "pasquin[publish]"`.') from exc
    try:
        picture = Image.open(io.BytesIO(content))
        if picture.width * picture.height > _MAX_PIXELS:
            raise InputError("The picture is too large to look at. Make it smaller.")
        flat = ImageOps.exif_transpose(picture).convert("RGBA")
        ground = Image.new("RGBA", flat.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, flat).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise InputError("The picture cannot be read. Use a PNG, JPEG, WebP or GIF.") from exc


def _views(picture: Image) -> Iterator[Image]:
    """The picture, and what people make of it who want it to look like another: mirrored, cropped."""
    from PIL import ImageOps

    for share in (1.0, 0.9, 0.8, 0.7):
        width, height = picture.width * share, picture.height * share
        left, top = (picture.width - width) / 2, (picture.height - height) / 2
        view = picture.crop((round(left), round(top), max(1, round(left + width)), max(1, round(top + height))))
        yield view
        yield ImageOps.mirror(view)


def _structure(picture: Image) -> list[bool]:
    """Whether it gets brighter to the right, place by place."""
    from PIL import Image, ImageOps

    square = ImageOps.autocontrast(ImageOps.fit(picture.convert("L"), (128, 128)))
    small = square.resize((_SIDE + 1, _SIDE), Image.Resampling.BOX).tobytes()
    rows = [small[start : start + _SIDE + 1] for start in range(0, len(small), _SIDE + 1)]
    return [row[place + 1] - row[place] > _STEP for row in rows for place in range(_SIDE)]


def _differing(one: list[bool], other: list[bool]) -> float:
    return sum(a != b for a, b in zip(one, other, strict=True)) / len(one)


def _colour_distance(one: Image, other: Image) -> float:
    from PIL import Image, ImageOps

    grids = []
    for picture in (one, other):
        square = ImageOps.fit(picture, (128, 128)).convert("YCbCr").resize((_GRID, _GRID), Image.Resampling.BOX)
        grids.append(square.tobytes())
    pairs = [
        ((grids[0][place + 1] - grids[1][place + 1]) ** 2 + (grids[0][place + 2] - grids[1][place + 2]) ** 2) ** 0.5
        for place in range(0, len(grids[0]), 3)
    ]
    return float(sum(pairs) / len(pairs) / 255)
