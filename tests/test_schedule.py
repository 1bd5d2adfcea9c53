"""Schedules: every slot once, whatever clocks do in spring and autumn, and the same on every machine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pasquin.errors import UsageError
from pasquin.publish.schedule import read_schedule

ROME = ZoneInfo("Europe/Rome")
SPRING = datetime(2026, 3, 28, 12, tzinfo=ROME)  # clocks go from 2 to 3 in the night
AUTUMN = datetime(2026, 10, 24, 12, tzinfo=ROME)  # and from 3 to 2


def slots(words: str, after: datetime, number: int, zone: str = "Europe/Rome") -> list[datetime]:
    return list(islice(read_schedule("b", words, zone).slots(after), number))


def walls(words: str, after: datetime, number: int) -> list[str]:
    return [f"{slot.astimezone(ROME):%d %H:%M}" for slot in slots(words, after, number)]


def test_times_on_the_wall_stay_through_the_year() -> None:
    assert walls("9:30, 20:15", SPRING, 4) == ["28 20:15", "29 09:30", "29 20:15", "30 09:30"]
    assert walls("30 9 * * *", AUTUMN, 2) == ["25 09:30", "26 09:30"]


def test_a_time_that_does_not_exist_moves_and_one_that_comes_twice_counts_once() -> None:
    assert walls("02:30", SPRING, 2) == ["29 03:30", "30 02:30"]
    assert walls("02:30, 03:15", SPRING, 3) == ["29 03:15", "29 03:30", "30 02:30"]
    assert walls("02:30, 03:30", SPRING, 2) == ["29 03:30", "30 02:30"], "two times, one moment, one slot"
    assert walls("02:30", AUTUMN, 2) == ["25 02:30", "26 02:30"]
    assert walls("30 1-3 * * *", AUTUMN, 4) == ["25 01:30", "25 02:30", "25 03:30", "26 01:30"]
    assert walls("30 1-3 * * *", SPRING, 3) == ["29 01:30", "29 03:30", "30 01:30"]


def test_a_number_a_day_fills_its_window() -> None:
    assert walls("3 a day between 9 and 21", SPRING, 3) == ["28 13:00", "28 15:00", "28 19:00"] or walls(
        "3 a day between 9 and 21", SPRING, 3
    ) == ["28 15:00", "28 19:00", "29 11:00"]
    jittered = slots("3 a day between 9 and 22 with jitter", SPRING, 300)
    hours = [slot.astimezone(ROME).hour for slot in jittered]
    assert min(hours) >= 9
    assert max(hours) < 22
    assert len(set(hours)) > 10
    assert slots("3 a day between 9 and 22 with jitter", SPRING, 300) == jittered
    assert (
        list(islice(read_schedule("c", "3 a day between 9 and 22 with jitter", "Europe/Rome").slots(SPRING), 9))
        != (jittered[:9])
    )


@given(
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),
    st.sampled_from(["Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Havana"]),
    st.sampled_from(["00:00, 02:15, 02:45, 23:59", "5 a day with jitter", "*/30 * * * *", "2 a day between 1 and 3"]),
)
def test_slots_rise_and_do_not_depend_on_when_one_asks(start: datetime, zone: str, words: str) -> None:
    after = start.replace(tzinfo=UTC)
    found = slots(words, after, 40, zone)
    assert all(earlier < later for earlier, later in pairwise([after, *found]))
    assert slots(words, found[9], 30, zone) == found[10:]
    assert slots(words, found[9] - timedelta(microseconds=1), 1, zone) == [found[9]]


@pytest.mark.parametrize(
    ("words", "zone"),
    [
        ("25:00", "UTC"),
        ("09:61", "UTC"),
        ("0 a day", "UTC"),
        ("3 a day between 22 and 9", "UTC"),
        ("100 a day between 9 and 10", "UTC"),
        ("sometimes", "UTC"),
        ("* * * *", "UTC"),
        ("0 0 31 2 *", "UTC"),
        ("99 * * * *", "UTC"),
        ("", "UTC"),
        ("09:00", "Europe/Atlantis"),
        ("09:00", "../../etc/passwd"),
    ],
)
def test_what_is_no_schedule_is_said_to_be_none(words: str, zone: str) -> None:
    with pytest.raises(UsageError):
        slots(words, SPRING, 1, zone)
