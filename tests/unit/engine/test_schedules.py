"""The ticks of schedules, in timezones whose clocks change, and what becomes of each tick."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest

from workflow_ray.definition import Schedule
from workflow_ray.engine.schedules import (
    Missed,
    Starts,
    Waits,
    between,
    foreign_id_of,
    key_of,
    moment_of,
    next_of,
    offset_of,
    start_of,
    ticks_of,
)

BERLIN = "Europe/Berlin"  # 2026: 02:00 -> 03:00 on 29 March, 03:00 -> 02:00 on 25 October
NEW_YORK = "America/New_York"  # 2026: 02:00 -> 03:00 on 8 March, 02:00 -> 01:00 on 1 November
LORD_HOWE = "Australia/Lord_Howe"  # 2026: 02:00 -> 02:30 on 4 October, 02:00 -> 01:30 on 5 April
APIA = "Pacific/Apia"  # 2011: it skipped the whole of 30 December
DAY = timedelta(days=1)


def schedule(
    cron: str | None = None,
    timezone: str = "UTC",
    *,
    every: float | None = None,
    overlap: Literal["skip", "queue", "allow"] = "skip",
    catch_up: float = 0.0,
    jitter: float = 0.0,
) -> Schedule:
    def restock(tick: datetime) -> Any:
        raise AssertionError("no tick is run here")

    return Schedule(
        name="restock",
        function=restock,
        where="here",
        is_async=False,
        cron=cron,
        timezone=timezone,
        every=every,
        overlap=overlap,
        catch_up=catch_up,
        jitter=jitter,
    )


def day_of(cron: str, zone: str, day: str, *, days: int = 1) -> list[str]:
    """The ticks from that local day on, as local times with their offset from UTC."""
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    end = (start.replace(tzinfo=None) + days * DAY).replace(tzinfo=ZoneInfo(zone))
    found = list(between(ticks_of(schedule(cron, zone)), start, end))
    assert all(tick.tzinfo == ZoneInfo(zone) for tick in found)
    in_utc = [tick.astimezone(UTC) for tick in found]
    assert in_utc == sorted(set(in_utc)), "ticks are in order, and none comes twice"
    return [tick.strftime("%d %H:%M %z") for tick in found]


# --- ticks --------------------------------------------------------------------------------------


def test_a_cron_expression_is_read_in_its_timezone() -> None:
    assert day_of("30 2 * * *", BERLIN, "2026-07-01", days=2) == [
        "01 02:30 +0200",
        "02 02:30 +0200",
    ]
    assert day_of("30 2 * * *", NEW_YORK, "2026-07-01") == ["01 02:30 -0400"]


def test_a_cron_expression_without_a_timezone_is_in_utc() -> None:
    tick = ticks_of(schedule("30 2 * * *")).after(datetime(2026, 3, 29, tzinfo=UTC))
    assert tick == datetime(2026, 3, 29, 2, 30, tzinfo=UTC)


def test_utc_has_one_tick_for_each_local_time_on_every_day() -> None:
    for day in ("2026-03-29", "2026-10-25"):
        assert day_of("30 1,2 * * *", "UTC", day) == [
            f"{day[-2:]} 01:30 +0000",
            f"{day[-2:]} 02:30 +0000",
        ]
        assert len(day_of("*/15 * * * *", "UTC", day)) == 96


@pytest.mark.parametrize(
    ("zone", "day", "cron", "tick"),
    [
        (BERLIN, "2026-03-29", "30 2 * * *", "29 03:00 +0200"),
        (BERLIN, "2026-03-29", "0 2 * * *", "29 03:00 +0200"),
        (NEW_YORK, "2026-03-08", "59 2 * * *", "08 03:00 -0400"),
        (LORD_HOWE, "2026-10-04", "0 2 * * *", "04 02:30 +1100"),
        (LORD_HOWE, "2026-10-04", "15 2 * * *", "04 02:30 +1100"),
    ],
)
def test_a_local_time_that_the_clocks_skip_is_due_right_after_the_gap(
    zone: str, day: str, cron: str, tick: str
) -> None:
    assert day_of(cron, zone, day)[0] == tick
    assert day_of(cron, zone, day).count(tick) == 1


@pytest.mark.parametrize(
    ("zone", "day", "cron", "ticks"),
    [
        (BERLIN, "2026-03-29", "0,30 2,3 * * *", ["29 03:00 +0200", "29 03:30 +0200"]),
        (NEW_YORK, "2026-03-08", "0,20,40 2 * * *", ["08 03:00 -0400"]),
        (LORD_HOWE, "2026-10-04", "0,15,30 2 * * *", ["04 02:30 +1100"]),
    ],
)
def test_local_times_that_the_clocks_skip_together_are_one_tick(
    zone: str, day: str, cron: str, ticks: list[str]
) -> None:
    assert day_of(cron, zone, day) == ticks


@pytest.mark.parametrize(
    ("zone", "day", "cron", "ticks"),
    [
        (BERLIN, "2026-10-25", "30 2 * * *", ["25 02:30 +0200"]),
        (BERLIN, "2026-10-25", "0 2,3 * * *", ["25 02:00 +0200", "25 03:00 +0100"]),
        (NEW_YORK, "2026-11-01", "0,30 1 * * *", ["01 01:00 -0400", "01 01:30 -0400"]),
        (LORD_HOWE, "2026-04-05", "45 1 * * *", ["05 01:45 +1100"]),
        (
            LORD_HOWE,
            "2026-04-05",
            "0,15 1,2 * * *",
            ["05 01:00 +1100", "05 01:15 +1100", "05 02:00 +1030", "05 02:15 +1030"],
        ),
    ],
)
def test_a_local_time_that_comes_twice_is_due_the_first_time(
    zone: str, day: str, cron: str, ticks: list[str]
) -> None:
    assert day_of(cron, zone, day) == ticks


def test_a_schedule_that_is_asked_within_the_repeated_hour_does_not_repeat_it() -> None:
    ticks = ticks_of(schedule("45 2 * * *", BERLIN))
    second_time = datetime(2026, 10, 25, 1, 20, tzinfo=UTC)  # 02:20 for the second time
    assert ticks.after(second_time) == datetime(2026, 10, 26, 1, 45, tzinfo=UTC)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, LORD_HOWE])
@pytest.mark.parametrize("cron", ["*/15 * * * *", "*/15 0-23 * * *"])
def test_wildcards_follow_the_time_that_passes(zone: str, cron: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    found = between(ticks_of(schedule(cron, zone)), start, start + 366 * DAY)
    in_utc = [tick.astimezone(UTC) for tick in found]
    assert {later - earlier for earlier, later in pairwise(in_utc)} == {timedelta(minutes=15)}
    assert len(in_utc) == 366 * 96


def test_a_wildcard_hour_has_no_tick_for_a_skipped_time_and_two_for_a_repeated_one() -> None:
    assert day_of("30 * * * *", BERLIN, "2026-03-29")[1:4] == [
        "29 01:30 +0100",
        "29 03:30 +0200",
        "29 04:30 +0200",
    ]
    assert day_of("30 * * * *", BERLIN, "2026-10-25")[1:5] == [
        "25 01:30 +0200",
        "25 02:30 +0200",
        "25 02:30 +0100",
        "25 03:30 +0100",
    ]
    assert day_of("15 * * * *", LORD_HOWE, "2026-10-04")[1:3] == [
        "04 01:15 +1030",
        "04 03:15 +1100",
    ]
    assert day_of("45 * * * *", LORD_HOWE, "2026-04-05")[1:4] == [
        "05 01:45 +1100",
        "05 01:45 +1030",
        "05 02:45 +1030",
    ]


def test_a_rare_wildcard_is_found_in_the_repeated_hour_too() -> None:
    assert day_of("*/50 2 25 10 *", BERLIN, "2026-10-25", days=600) == [
        "25 02:00 +0200", "25 02:50 +0200", "25 02:00 +0100", "25 02:50 +0100",
        "25 02:00 +0200", "25 02:50 +0200",
    ]  # fmt: skip


def test_months_weekdays_and_last_days_are_those_of_cron() -> None:
    assert day_of("0 6 L * *", BERLIN, "2026-02-01", days=60) == [
        "28 06:00 +0100",
        "31 06:00 +0200",
    ]
    assert day_of("0 6 * * MON#1", BERLIN, "2026-06-01", days=60) == [
        "01 06:00 +0200",
        "06 06:00 +0200",
    ]


def test_an_expression_may_begin_with_seconds() -> None:
    found = between(
        ticks_of(schedule("*/20 0 12 * * *", BERLIN)),
        datetime(2026, 6, 1, tzinfo=UTC),
        datetime(2026, 6, 2, tzinfo=UTC),
    )
    assert [tick.second for tick in found] == [0, 20, 40]


def test_intervals_are_counted_from_1970_in_utc() -> None:
    ticks = ticks_of(schedule(every=7 * 60.0))
    first = ticks.after(datetime(2026, 1, 1, tzinfo=UTC))
    assert first is not None
    assert first.timestamp() % (7 * 60) == 0
    assert ticks.after(first) == first + timedelta(minutes=7)
    assert first.tzinfo is UTC


@pytest.mark.parametrize("cron", ["30 2 * * *", "*/15 * * * *"])
def test_the_first_tick_is_after_the_moment_and_never_at_it(cron: str) -> None:
    ticks = ticks_of(schedule(cron, BERLIN))
    moment = datetime(2026, 10, 24, tzinfo=UTC)
    for _ in range(300):
        found = ticks.after(moment)
        assert found is not None
        assert found.astimezone(UTC) > moment
        assert ticks.after(found.astimezone(UTC) - timedelta(microseconds=1)) == found
        moment = found.astimezone(UTC)


def test_a_whole_day_that_is_skipped_is_due_at_its_end() -> None:
    # the day after is due at 02:30 as well
    ticks = ["29 02:30 -1000", "31 00:00 +1400", "31 02:30 +1400"]
    assert day_of("30 2 * * *", APIA, "2011-12-29", days=3) == ticks


# --- what becomes of a tick ---------------------------------------------------------------------

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOURLY = schedule(every=3600.0, catch_up=7200.0)


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def test_a_tick_that_is_not_due_is_waited_for() -> None:
    assert next_of(HOURLY, ticks_of(HOURLY), done=NOON, now=at(0.5)) == Waits(at(1))


def test_a_tick_that_is_due_starts_and_the_first_one_comes_first() -> None:
    assert next_of(HOURLY, ticks_of(HOURLY), done=NOON, now=at(1)) == Starts(at(1))
    assert next_of(HOURLY, ticks_of(HOURLY), done=NOON, now=at(3)) == Starts(at(1))


def test_a_schedule_without_another_tick_waits_for_good() -> None:
    class Ended:
        def after(self, moment: datetime) -> None:
            return None

    assert next_of(HOURLY, Ended(), NOON, at(1)) == Waits(None)


def test_ticks_that_are_older_than_the_catch_up_window_are_missed() -> None:
    missed = next_of(HOURLY, ticks_of(HOURLY), done=NOON, now=at(5.5))
    assert isinstance(missed, Missed)
    assert missed.first == at(1)
    assert next_of(HOURLY, ticks_of(HOURLY), missed.done, at(5.5)) == Starts(at(4))


def test_a_tick_as_old_as_the_catch_up_window_is_run() -> None:
    assert next_of(HOURLY, ticks_of(HOURLY), done=NOON, now=at(3)) == Starts(at(1))
    missed = next_of(HOURLY, ticks_of(HOURLY), NOON, at(3) + timedelta(milliseconds=1))
    assert isinstance(missed, Missed)


def test_without_a_catch_up_window_a_tick_is_run_if_it_is_some_seconds_late() -> None:
    none = schedule(every=3600.0)
    assert next_of(none, ticks_of(none), NOON, at(1) + timedelta(seconds=9)) == Starts(at(1))
    assert isinstance(next_of(none, ticks_of(none), NOON, at(1.1)), Missed)


def test_the_jitter_of_a_tick_delays_its_start_by_the_same_time_everywhere() -> None:
    jittered = schedule(every=3600.0, jitter=600.0)
    delays = [start_of(jittered, at(hour)) - at(hour) for hour in range(200)]
    assert delays == [start_of(jittered, at(hour)) - at(hour) for hour in range(200)]
    assert min(delays) < timedelta(seconds=60)
    assert timedelta(seconds=540) < max(delays) < timedelta(seconds=600)
    assert len(set(delays)) == 200
    start = start_of(jittered, at(1))
    assert next_of(jittered, ticks_of(jittered), NOON, start - timedelta(seconds=1)) == Waits(start)
    assert next_of(jittered, ticks_of(jittered), NOON, start) == Starts(at(1))


def test_a_tick_without_jitter_starts_at_once() -> None:
    assert start_of(HOURLY, at(1)) == at(1)


# --- positions and runs -------------------------------------------------------------------------


def test_a_position_includes_the_tick_that_it_is_made_of() -> None:
    for micros in (0, 1, 999, 1000):
        tick = NOON + timedelta(microseconds=micros)
        assert tick <= moment_of(offset_of(tick)) < tick + timedelta(milliseconds=1)
    assert moment_of(offset_of(NOON)) == NOON


def test_the_foreign_id_and_the_key_name_the_tick_in_utc() -> None:
    tick = datetime(2026, 6, 1, 2, tzinfo=ZoneInfo(BERLIN))
    assert foreign_id_of("restock", tick) == "restock-2026-06-01T00:00:00Z"
    assert key_of("restock", tick) == "schedule:restock:2026-06-01T00:00:00Z"
