"""The disclosure: what a bot must say of itself, checked before every publish.

Each check says whether it holds, what was found, and what to do when it does not. They are docs/bots.md's list: what
the bio must say, the network's own flag, a name and a picture that nobody takes for the original's, and what only the
person can confirm. A network without profiles (a file, a webhook) has nothing to check: what is written there carries
the statement itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pasquin.config import BotSettings
from pasquin.errors import InputError
from pasquin.networks.publishing import Publisher, Shows
from pasquin.publish import bios
from pasquin.publish.avatars import distances, distinct
from pasquin.publish.names import could_be_taken_for, says_parody_first
from pasquin.records import Profile

_NO_PICTURE: Final = "none"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a bot must say: `name`, whether it `holds`, what was `found`, what to `do` when it does not hold."""

    name: str
    holds: bool
    found: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """All checks of a bot."""

    checks: tuple[Check, ...]

    @property
    def compliant(self) -> bool:
        """Whether all hold: only then it may publish."""
        return all(check.holds for check in self.checks)

    def summary(self) -> dict[str, Any]:
        """What a receipt keeps."""
        return {"compliant": self.compliant, "checks": {check.name: check.holds for check in self.checks}}

    def told(self) -> list[dict[str, Any]]:
        """The checks as plain data."""
        return [asdict(check) for check in self.checks]


def disclosure_of(bot: str, settings: BotSettings, publisher: Publisher, family: str | None, root: Path) -> Disclosure:
    """The disclosure of a bot as its network shows it now; `root` is the workspace's folder.

    Raises NetworkError when its profile cannot be read.
    """
    if not isinstance(publisher, Shows):
        found = "The network has no profiles; what is written there carries a statement."
        return Disclosure((Check("profile", True, found),))
    return examine(bot, settings, publisher.profile(), family, read_originals(settings, root))


def read_originals(settings: BotSettings, root: Path) -> list[bytes] | None:
    """The pictures of those the bot parodies; empty when they have none, None when that was not said.

    Raises InputError when one cannot be read.
    """
    if not settings.original_avatars:
        return None
    pictures = []
    for name in settings.original_avatars:
        if name != _NO_PICTURE:
            try:
                pictures.append((root / name).read_bytes())
            except OSError as exc:
                raise InputError(
                    f"The original's picture {name} cannot be read. Mend original_avatars of the bot."
                ) from exc
    return pictures


def examine(
    bot: str, settings: BotSettings, profile: Profile, family: str | None, originals: Sequence[bytes] | None
) -> Disclosure:
    """All checks of a profile."""
    setup = f"Run `pasquin bot setup {bot}`, or change the bio yourself."
    return Disclosure(
        (
            *_bio(bot, settings, profile.bio, family, setup),
            _flag(bot, settings, profile),
            _name(bot, settings, profile),
            _handle(settings, profile),
            _avatar(bot, profile, originals),
            _newsworthy(bot, settings),
        )
    )


def _bio(bot: str, settings: BotSettings, bio: str, family: str | None, setup: str) -> list[Check]:
    table = f"[bots.{bot}]"
    generated = bios.says_generated(bio)
    checks = [
        Check(
            "generated",
            generated,
            "The bio says that its texts are generated." if generated else "The bio does not say that AI writes it.",
            setup,
        )
    ]
    if not family:
        checks.append(Check("model", False, "It is not known which model writes.", f"Set model_family in {table}."))
    else:
        named = bios.names_family(bio, family)
        found = f"The bio names the model ({family})." if named else f"The bio does not name the model, {family}."
        checks.append(Check("model", named, found, setup))
    checks.append(_curated(settings, bio, setup))
    if not settings.maintainer.strip():
        checks.append(Check("maintainer", False, "Nobody answers for it.", f"Set maintainer in {table}, then set up."))
    else:
        named = bios.names(bio, settings.maintainer)
        found = "The bio names" if named else "The bio does not name"
        checks.append(Check("maintainer", named, f"{found} who answers for it, {settings.maintainer}.", setup))
    wanted = [name for name in settings.parodies if name.strip()]
    if not wanted:
        do = f"Set parodies in {table}: names and handles, or what it was trained on."
        checks.append(Check("parodies", False, "It is not known whom it parodies.", do))
    else:
        named = any(bios.names(bio, name) for name in wanted)
        found = "The bio names" if named else "The bio does not name"
        checks.append(Check("parodies", named, f"{found} whom it parodies, {' or '.join(wanted)}.", setup))
    return checks


def _curated(settings: BotSettings, bio: str, setup: str) -> Check:
    said = bios.says_curated(bio)
    wanted = "curated" if settings.curated else "uncurated"
    if said == wanted:
        truth = "that a person picks its texts" if settings.curated else "that nobody picks its texts"
        return Check("curation", True, f"The bio says {truth}.")
    if said is None:
        return Check("curation", False, "The bio does not say whether a person picks its texts.", setup)
    return Check("curation", False, f"The bio says {said}, but the bot is {wanted}.", f"{setup} Or set `curated`.")


def _flag(bot: str, settings: BotSettings, profile: Profile) -> Check:
    if profile.bot is not None:
        found = "The network shows it as a bot." if profile.bot else "The network does not show it as a bot."
        return Check("bot flag", profile.bot, found, f"Run `pasquin bot setup {bot}`, or set it on the network.")
    holds = "automated" in settings.confirmed
    found = "You confirmed its label as automated." if holds else "Nobody has confirmed its label as automated."
    do = (
        "Switch the label on by hand (X: Settings, Your account, Automation), "
        f'then add confirmed = ["automated"] to [bots.{bot}].'
    )
    return Check("bot flag", holds, found, do)


def _name(bot: str, settings: BotSettings, profile: Profile) -> Check:
    shown = profile.name.strip() or _local(profile.handle)
    copied = next((name for name in settings.parodies if could_be_taken_for(shown, name)), None)
    if copied is not None:
        do = f"Change the display name on the network, for example to `AI parody of {copied}`."
        return Check("name", False, f"The name “{shown}” could be taken for {copied}.", do)
    if settings.network == "x" and not says_parody_first(shown):
        do = "X wants Parody or AI at the beginning of the display name; change it there."
        return Check("name", False, f"The name “{shown}” does not begin with Parody or AI.", do)
    return Check("name", True, f"Nobody takes the name “{shown}” for the original's.")


def _handle(settings: BotSettings, profile: Profile) -> Check:
    own = _local(profile.handle)
    copied = next((name for name in settings.parodies if could_be_taken_for(own, _local(name))), None)
    if copied is not None:
        do = "Use an account with another handle: this one passes for the original's."
        return Check("handle", False, f"The handle @{profile.handle} could be taken for {copied}.", do)
    return Check("handle", True, f"Nobody takes the handle @{profile.handle} for the original's.")


def _local(handle: str) -> str:
    """The part of a handle that people read: before the server's or the domain's name."""
    if " " in handle.strip():
        return handle
    first = handle.strip().removeprefix("@").split("@")[0]
    return first.split(".")[0] or first


def _avatar(bot: str, profile: Profile, originals: Sequence[bytes] | None) -> Check:
    if profile.avatar is None:
        return Check("avatar", True, "It has no picture.")
    if originals is None:
        do = (
            f'Set original_avatars in [bots.{bot}]: paths of the original\'s pictures, or ["none"] where there is none.'
        )
        return Check("avatar", False, "The original's picture is not known, to compare with.", do)
    setup = f"Run `pasquin bot setup {bot}`: it makes one that nobody confuses."
    try:
        for original in originals:
            if not distinct(profile.avatar, original):
                structure, colour = distances(profile.avatar, original)
                found = f"Its picture is too like the original's (structure {structure:.2f}, colour {colour:.2f})."
                return Check("avatar", False, found, setup)
    except InputError as exc:
        return Check("avatar", False, f"The pictures cannot be compared: {exc}", setup)
    return Check("avatar", True, "Nobody takes its picture for the original's.")


def _newsworthy(bot: str, settings: BotSettings) -> Check:
    table = f"[bots.{bot}]"
    if settings.newsworthy is None:
        do = f"Set newsworthy in {table}: true where the news writes about them (politicians most of all), or false."
        return Check("newsworthy", False, "It is not said whether it parodies people the news writes about.", do)
    if settings.newsworthy and "newsworthy" not in settings.confirmed:
        do = (
            "Its posts may be taken for real, spread without the bio and do harm; you answer for that. "
            f'If you mean it, add confirmed = ["newsworthy"] to {table}.'
        )
        return Check("newsworthy", False, "It parodies people the news writes about, and that is not confirmed.", do)
    found = "You confirmed the risk of being taken for real." if settings.newsworthy else "No newsworthy people."
    return Check("newsworthy", True, found)
