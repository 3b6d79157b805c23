"""The ticks of schedules: when each is due, and what becomes of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Protocol, TypeAlias
from zoneinfo import ZoneInfo

from cronsim import CronSim

from workflow_ray.definition import Schedule, Workflow
from workflow_ray.engine.announcements import announcing, asked_states
from workflow_ray.engine.runs import first_write
from workflow_ray.records import Position, Write, new_run_id, new_write_id

IN_TIME = timedelta(seconds=10)
"""A tick that is late by no more than this is run, whatever the catch-up window is."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)


class Ticks(Protocol):
    """The moments at which a schedule is due."""

    def after(self, moment: datetime) -> datetime | None:
        """Return the first tick after `moment`, in the schedule's timezone.

        None: there is none in the next 50 years.
        """
        ...


class IntervalTicks:
    """A tick every so many seconds, counted from 1970-01-01 00:00 UTC, so that every worker has
    the same ticks.
    """

    def __init__(self, every: float) -> None:
        self._every = timedelta(seconds=every)

    def after(self, moment: datetime) -> datetime | None:
        passed = (moment - _EPOCH) // self._every
        return _EPOCH + (passed + 1) * self._every


class FixedTimeTicks:
    """The ticks of a cron expression that names its minutes and hours: one for each local time.

    A local time that the clocks skip is due when they have skipped it; several such times are one
    tick. A local time that comes twice is due the first time.
    """

    def __init__(self, cron: str, zone: ZoneInfo) -> None:
        self._cron = cron
        self._zone = zone

    def after(self, moment: datetime) -> datetime | None:
        local = _local(moment, self._zone)
        # The ticks of earlier local times are not after `moment`: they have the same order.
        for named in CronSim(self._cron, local):
            tick = self._moment_of(named)
            if tick > moment:
                return tick.astimezone(self._zone)
        return None

    def _moment_of(self, named: datetime) -> datetime:
        before = named.replace(tzinfo=self._zone, fold=0).astimezone(UTC)
        if _local(before, self._zone) == named:
            return before
        # Python reads a skipped time by the offset from before the change, which is a moment after
        # it; with `fold` by the offset from after the change, which is a moment before it.
        return _change(named.replace(tzinfo=self._zone, fold=1).astimezone(UTC), before, self._zone)


class ElapsedTimeTicks:
    """The ticks of a cron expression whose minutes or hours begin with `*`: every moment whose
    local time matches. So `*/15 * * * *` is due every 15 minutes also when the clocks change: a
    local time that they skip has no tick, and one that comes twice has two.
    """

    def __init__(self, cron: str, zone: ZoneInfo) -> None:
        self._cron = cron
        self._zone = zone

    def after(self, moment: datetime) -> datetime | None:
        at = moment.astimezone(UTC).replace(microsecond=0)
        local = _local(at, self._zone)
        while True:
            offset = _offset(at, self._zone)
            named = next(CronSim(self._cron, local), None)
            if named is None:
                return None
            tick = named.replace(tzinfo=UTC) - offset
            end = min(tick, at + _DAY)
            if _offset(end, self._zone) != offset:
                at = _change(at, end, self._zone)
            elif tick == end:
                return tick.astimezone(self._zone)
            else:
                at = max(end, tick - _DAY)  # the local times up to there do not match
            local = _local(at, self._zone) - _SECOND  # so that a tick at `at` itself is found


def ticks_of(schedule: Schedule) -> Ticks:
    """Return the ticks of a schedule."""
    if schedule.cron is None:
        assert schedule.every is not None, "a schedule has either; the definition was checked"
        return IntervalTicks(schedule.every)
    *_, minutes, hours, _, _, _ = schedule.cron.split()
    # This is the rule of Debian's cron.
    is_fixed = not minutes.startswith("*") and not hours.startswith("*")
    kind = FixedTimeTicks if is_fixed else ElapsedTimeTicks
    return kind(schedule.cron, ZoneInfo(schedule.timezone))


def between(ticks: Ticks, start: datetime, end: datetime) -> Iterator[datetime]:
    """Return the ticks from `start` on and before `end`, in order."""
    # In UTC: Python compares moments of one timezone by their local times.
    tick = ticks.after(start.astimezone(UTC) - timedelta.resolution)
    while tick is not None and tick < end.astimezone(UTC):
        yield tick
        tick = ticks.after(tick)


def start_of(schedule: Schedule, tick: datetime) -> datetime:
    """Return when the tick's run is to start, in UTC: up to the jitter later, by the same time in
    every process.
    """
    digest = blake2b(f"{schedule.name}\0{tick_text(tick)}".encode(), digest_size=8).digest()
    part = int.from_bytes(digest) / 2**64
    return tick.astimezone(UTC) + timedelta(seconds=schedule.jitter * part)


# --- what becomes of a tick ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waits:
    """The next run starts at `until`. None: never."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class Starts:
    """The run of `tick` is to start now."""

    tick: datetime


@dataclass(frozen=True, slots=True)
class Missed:
    """The ticks from `first` up to `done` are later than the catch-up window allows."""

    first: datetime
    done: datetime


Next: TypeAlias = Waits | Starts | Missed


def next_of(schedule: Schedule, ticks: Ticks, done: datetime, now: datetime) -> Next:
    """Decide what becomes of the first tick that is not done.

    Args:
        schedule: Its catch-up window and jitter count.
        ticks: Its ticks.
        done: All ticks up to this moment are done.
        now: The time.
    """
    tick = ticks.after(done)
    if tick is None:
        return Waits(None)
    window = max(timedelta(seconds=schedule.catch_up), IN_TIME)
    oldest = now - window - timedelta(seconds=schedule.jitter)
    if tick < oldest:
        return Missed(tick, oldest - _MILLISECOND)
    start = start_of(schedule, tick)
    return Starts(tick) if start <= now else Waits(start)


# --- positions and runs -------------------------------------------------------------------------


def offset_of(moment: datetime) -> int:
    """Return the offset of a position at which everything up to `moment` is done: milliseconds
    since 1970, rounded up so that the tick at `moment` is included.
    """
    return -((_EPOCH - moment) // _MILLISECOND)


def moment_of(offset: int) -> datetime:
    """Return the moment up to which all ticks are done."""
    return _EPOCH + offset * _MILLISECOND


def last_tick_of(position: Position) -> datetime | None:
    """Return the last tick that has started a run. None: none has."""
    return moment_of(position.begun) if position.begun else None


def in_zone_of(schedule: Schedule, moment: datetime) -> datetime:
    """Return the moment in the timezone of the schedule's ticks."""
    return moment.astimezone(UTC if schedule.cron is None else ZoneInfo(schedule.timezone))


def tick_text(tick: datetime) -> str:
    """Return a tick as it stands in foreign ids and keys: in UTC, so that it stays the same when
    the schedule's timezone is changed.
    """
    return f"{tick.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"


def foreign_id_of(schedule: str, tick: datetime) -> str:
    """Return the foreign id of the tick's run."""
    return f"{schedule}-{tick_text(tick)}"


def key_of(schedule: str, tick: datetime) -> str:
    """Return the idempotency key of the tick's run, by which the tick has one run at most."""
    return f"schedule:{schedule}:{tick_text(tick)}"


def first_write_of(
    workflow: Workflow[Any, Any], schedule: str, tick: datetime, data: bytes, by: str
) -> Write:
    """Make the first write of a tick's run.

    Its key has no digest: the tick is the same whatever data the function returns at a repeat.
    """
    write = first_write(
        workflow,
        foreign_id_of(schedule, tick),
        data,
        workflow.start,
        run_id=new_run_id(),
        write_id=new_write_id(),
        by=by,
        idempotency_key=key_of(schedule, tick),
    )
    return announcing(asked_states(workflow.checked()), None, write)


# --- time zones ---------------------------------------------------------------------------------


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the local time, without its zone."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the second at which the zone's offset changes between two moments."""
    offset = _offset(before, zone)
    while after - before > _SECOND:
        middle = before + (after - before) // (2 * _SECOND) * _SECOND
        if _offset(middle, zone) == offset:
            before = middle
        else:
            after = middle
    return after
