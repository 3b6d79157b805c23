"""The ticks of random cron expressions, compared with a look at every minute of some days around
each change of the clocks.
"""

import random
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from tests.unit.engine.test_schedules import APIA, BERLIN, LORD_HOWE, NEW_YORK, schedule
from workflow_ray.engine.schedules import between, ticks_of

MINUTE = timedelta(minutes=1)
CHANGES = {
    BERLIN: ("2026-03-29", "2026-10-25"),
    NEW_YORK: ("2026-03-08", "2026-11-01"),
    LORD_HOWE: ("2026-04-05", "2026-10-04"),
    APIA: ("2011-12-30",),
    "America/St_Johns": ("2011-03-13", "2011-11-06"),  # at 00:01
    "Africa/Casablanca": ("2026-02-15", "2026-03-22"),
    "Asia/Kathmandu": ("2026-05-01",),  # no change
    "UTC": ("2026-03-29",),
}


@cache
def minutes_of(zone: str, day: str) -> list[tuple[datetime, datetime]]:
    """Every minute of some days, with its local time."""
    start = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=2)
    moments = [start + number * MINUTE for number in range(4 * 24 * 60)]
    return [(at, at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)) for at in moments]


def expected(cron: str, zone: str, day: str) -> list[datetime]:
    """What the rules say, found by a look at every minute."""
    minutes = minutes_of(zone, day)
    named = matching(cron, min(local for _, local in minutes), max(local for _, local in minutes))
    if any(field.startswith("*") for field in cron.split()[:2]):
        return [at for at, local in minutes if local in named]
    # The first moment at which the clock shows the named time, or has passed it
    passed: list[tuple[datetime, datetime]] = []  # moments at which the clock shows a new time
    for at, local in minutes:
        if not passed or local > passed[-1][1]:
            passed.append((at, local))
    first = [passed[0][0]] if passed[0][1] in named else []
    return first + [
        at
        for (_, before), (at, local) in pairwise(passed)
        if any(before < time <= local for time in named)
    ]


def matching(cron: str, first: datetime, last: datetime) -> set[datetime]:
    """The local times that an expression names."""
    named: set[datetime] = set()
    for time in CronSim(cron, first - MINUTE):
        if time > last:
            break
        named.add(time)
    return named


def any_cron(rng: random.Random) -> str:
    minute = rng.choice(["0", "30", "1", "15,45", "59", "*", "*/15", "0-20", "2-58/7", "0,1,2"])
    hour = rng.choice(["*", "*/2", "*/3", "0", "1", "2", "3", "0-3", "1,2,3", "0,23", "2-22/4"])
    day = rng.choice(["*", "*", "*", "30", "L", "25"])
    weekday = rng.choice(["*", "*", "SUN", "6,0"])
    return f"{minute} {hour} {day} * {weekday}"


@pytest.mark.parametrize("zone", CHANGES)
def test_ticks_are_those_that_a_look_at_every_minute_finds(zone: str, rng: random.Random) -> None:
    for day in CHANGES[zone]:
        for _ in range(12):
            cron = any_cron(rng)
            start, end = minutes_of(zone, day)[0][0], minutes_of(zone, day)[-1][0] + MINUTE
            found = [
                tick.astimezone(UTC) for tick in between(ticks_of(schedule(cron, zone)), start, end)
            ]
            assert found == expected(cron, zone, day), f"{cron} in {zone} around {day}"
