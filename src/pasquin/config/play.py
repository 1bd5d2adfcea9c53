"""Settings of `pasquin play`: the game and the room for its players."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from pasquin.config.reading import StageSettings, words


class PlaySettings(StageSettings):
    """[play]"""

    stage = "play"

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets others in."""
    port: int = Field(8000, ge=0, le=65_535)
    """Port to listen on; 0 takes any free one."""
    min_items: int = Field(8, ge=1)
    """A category needs this many human and this many model items before it is offered."""
    attention_every: int = Field(25, ge=0)
    """About so many cards from one attention check to the next; 0: none."""
    adapt: float = Field(0.5, ge=0, le=0.9)
    """Share of the cards, drawn anew for each player, that may be chosen by how hard they are: in classic to suit the
    player, in endless to be harder. They are in no rate, only the rest is; 0: no card is. Set it before people play."""
    fill: int = Field(0, ge=0)
    """While the game is served, models write on in the background until the keenest player has so many AI cards ahead;
    0: they do not."""
    player_rate: float = Field(4.0, gt=0)
    """Requests a second that one player may make in the long run; ten times as many at once."""
    address_rate: float = Field(400.0, gt=0)
    """The same for all players of one address prefix together (a school behind one address is many players)."""
    embed: tuple[Annotated[str, Field(pattern=r"^(\*|https?://[A-Za-z0-9.:\[\]*-]+)$")], ...] = ()
    """Sites (`https://blog.example.org`; `*`: any) whose pages may show `/embed` in an `<iframe>`."""

    @field_validator("embed", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return words(value)
