"""When a bot publishes: slots in its time zone.

A schedule is one of

    "09:30, 14:00, 20:15"                         slots, every day
    "3 a day between 9 and 22"                    spread evenly over the window
    "3 a day between 9 and 22 with jitter"        one in each third of the window, at a time that looks like chance
    "0 9-21/3 * * mon-fri"                        a cron expression (needs `pip install "pasquin[publish]"`)

Times are those of a clock on the wall in the time zone. When clocks go forward, a time that does not exist that day is
the moment as many minutes after the gap; when they go back, a time that comes twice counts once, the first time. Two
times that fall on one moment are one slot. Jitter is drawn from the bot's name and the date, so every machine that asks
gets the same slots.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pasquin.errors import ResourceError, UsageError

_SLOT: Final = re.compile(r"(\d{1,2}):(\d{2})")
_SPREAD: Final = re.compile(
    r"(\d{1,3}) (?:times )?(?:a|per) day(?: between (\d{1,2})(?::(\d{2}))? and (\d{1,2})(?::(\d{2}))?)?( with jitter)?"
)
_DAY_MINUTES: Final = 24 * 60
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule that was understood. Exactly one of `times`, `spread` and `cron` is given.

    `times` are minutes since midnight; `spread` is (number, first minute, last minute, jitter).
    """

    bot: str
    zone: ZoneInfo
    times: tuple[int, ...] = ()
    spread: tuple[int, int, int, bool] | None = None
    cron: str | None = None

    def slots(self, after: datetime) -> Iterator[datetime]:
        """Slots strictly after a moment, in UTC, strictly rising, without end."""
        last = after.astimezone(UTC)
        for day in self._days(after.astimezone(self.zone).replace(tzinfo=None) - timedelta(days=1)):
            # A gap can change the order of a day's times.
            for moment in sorted({wall.replace(tzinfo=self.zone, fold=0).astimezone(UTC) for wall in day}):
                if moment > last:
                    last = moment
                    yield moment

    def _days(self, start: datetime) -> Iterator[list[datetime]]:
        """Times on the wall from `start` on, a list a day."""
        if self.cron is not None:
            for _, walls in groupby(_cron_walls(self.cron, start), key=datetime.date):
                yield list(walls)
            return
        day = start.date()
        while True:
            midnight = datetime.combine(day, time())
            yield [midnight + timedelta(seconds=round(minutes * 60)) for minutes in self._day(day)]
            day += timedelta(days=1)

    def _day(self, day: date) -> list[float]:
        if self.spread is None:
            return [float(minutes) for minutes in self.times]
        number, first, last, jitter = self.spread
        part = (last - first) / number
        if not jitter:
            return [first + (place + 0.5) * part for place in range(number)]
        seed = hashlib.sha256(f"{self.bot}\n{day.isoformat()}\n{self.spread}".encode()).digest()
        chance = random.Random(seed)
        return [first + (place + chance.random() * 0.98) * part for place in range(number)]


def read_schedule(bot: str, words: str, time_zone: str) -> Schedule:
    """The schedule that `words` say. Raises UsageError where they say none, or the time zone is unknown."""
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise UsageError(
            f"The bot `{bot}` has the time zone `{time_zone}`, which is not known here. "
            "Use a name such as Europe/Rome; on a machine without time zones, `pip install tzdata`."
        ) from exc
    words = " ".join(words.lower().split())
    if found := _SPREAD.fullmatch(words):
        return Schedule(bot, zone, spread=_spread(bot, words, found))
    parts = [part for part in words.replace(",", " ").split() if part]
    if parts and all(_SLOT.fullmatch(part) for part in parts):
        return Schedule(bot, zone, times=_times(bot, parts))
    _check_cron(bot, words)
    return Schedule(bot, zone, cron=words)


def _times(bot: str, parts: list[str]) -> tuple[int, ...]:
    times = set()
    for part in parts:
        hour, minute = (int(number) for number in part.split(":"))
        if hour > 23 or minute > 59:
            raise UsageError(f"The bot `{bot}` is to publish at `{part}`, which is no time of the day. Write 09:30.")
        times.add(hour * 60 + minute)
    return tuple(sorted(times))


def _spread(bot: str, words: str, found: re.Match[str]) -> tuple[int, int, int, bool]:
    number = int(found[1])
    first = int(found[2] or 0) * 60 + int(found[3] or 0)
    last = int(found[4] or 24) * 60 + int(found[5] or 0)
    if not 1 <= number <= 288 or not 0 <= first < last <= _DAY_MINUTES or (last - first) < number:
        raise UsageError(
            f"The bot `{bot}` has the schedule `{words}`, which cannot be kept: from 1 to 288 a day, "
            "in a window that ends after it begins and has a minute for each."
        )
    return number, first, last, bool(found[6])


def _check_cron(bot: str, words: str) -> None:
    croniter = _croniter()
    if len(words.split()) != 5 or not croniter.is_valid(words):
        raise UsageError(
            f"The bot `{bot}` has the schedule `{words}`, which is none. Write times (`09:30, 20:00`), "
            "`3 a day between 9 and 22 with jitter`, or a cron expression of five fields (`0 9 * * mon-fri`)."
        )
    try:
        next(_cron_walls(words, datetime(2026, 1, 1)))
    except StopIteration:
        raise UsageError(
            f"The bot `{bot}` has the schedule `{words}`, which never comes. Mend its day or month."
        ) from None


def _cron_walls(words: str, start: datetime) -> Iterator[datetime]:
    croniter = _croniter()
    times = croniter(words, start - _MINUTE)
    while True:
        try:
            yield times.get_next(datetime)
        except ValueError:  # croniter's own error is one: no such day in the years it looks at
            return


def _croniter() -> Any:
    try:
        from croniter import croniter
    except ImportError as exc:
        raise ResourceError(
            "A schedule that is a cron expression needs a package that is not installed. "
            'Run `pip install "pasquin[publish]"`, or write the times themselves.'
        ) from exc
    return croniter
