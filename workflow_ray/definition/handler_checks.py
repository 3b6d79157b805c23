"""The mistakes in the arguments of the decorators of connectors, schedules and hooks."""

from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim

from workflow_ray.definition.arguments import is_count, shown
from workflow_ray.definition.checks import MAX_NAME, MAX_PARTITIONS, is_name
from workflow_ray.definition.declarations import (
    ConnectorDeclaration,
    Declaration,
    HookDeclaration,
    NamedDeclaration,
    ScheduleDeclaration,
    ScrubDeclaration,
)
from workflow_ray.definition.durations import duration_mistake, seconds_of
from workflow_ray.definition.function_checks import ray_mistake, retry_mistake
from workflow_ray.definition.handlers import OVERLAPS

MILLISECOND = 0.001
"""Seconds. The position of a schedule counts milliseconds."""


def handler_mistakes(declared: Declaration) -> Iterator[str]:
    """Find the mistakes in the arguments with which a function was declared."""
    match declared:
        case ConnectorDeclaration():
            yield from _name_mistakes(declared)
            yield from _connector_mistakes(declared)
        case ScheduleDeclaration():
            if callable(declared.label):
                usage = '`.schedule("nightly", cron="0 2 * * *")`'
                yield f"is declared without its name and its ticks; write {usage}, for example"
                return
            yield from _name_mistakes(declared)
            yield from _tick_mistakes(declared)
            yield from _schedule_mistakes(declared)
        case HookDeclaration() | ScrubDeclaration():
            if mistake := retry_mistake(declared.retry):
                yield mistake
        case _:
            pass


def _name_mistakes(declared: NamedDeclaration) -> Iterator[str]:
    # A dash separates the workflow from this name in the name of a role, which must be distinct.
    if not is_name(declared.label) or "-" in declared.label:
        allowed = f"use up to {MAX_NAME} of A-Z a-z 0-9 . _, a letter or digit first"
        yield f"has a name that can't be part of a role; {allowed}"


def _connector_mistakes(declared: ConnectorDeclaration) -> Iterator[str]:
    source = declared.source
    if isinstance(source, type) or not callable(getattr(source, "open", None)):
        yield (
            f"has the source {shown(source)}, which is not a ConnectorSource; hand in one, such as"
            ' KafkaSource(topic="carts")'
        )
    if not is_count(declared.shards) or declared.shards > MAX_PARTITIONS:
        yield f"can't have shards={shown(declared.shards)}; use 1 to {MAX_PARTITIONS}"
    if mistake := retry_mistake(declared.retry):
        yield mistake
    if declared.ordered not in (True, False):
        yield f"can't have ordered={shown(declared.ordered)}; it is True or False"
    if mistake := ray_mistake(declared.ray):
        yield mistake


def _tick_mistakes(declared: ScheduleDeclaration) -> Iterator[str]:
    cron, every = declared.cron, declared.every
    if cron is None and every is None:
        yield 'has no ticks; give cron=, e.g. "0 2 * * *", or every='
    elif cron is not None and every is not None:
        yield "has both cron= and every=; take one of them out"
    elif cron is not None and (mistake := cron_mistake(cron)):
        yield f"can't have cron={shown(cron)}: {mistake}"
    elif every is not None:
        if mistake := _interval_mistake(every):
            yield f"can't have every={shown(every)}: {mistake}"
        if declared.timezone is not None:
            yield "has every= with a timezone=, which only cron= needs; take it out"
        return
    if declared.timezone is not None and not is_timezone(declared.timezone):
        yield (
            f"can't have timezone={shown(declared.timezone)}; give the IANA name of one, e.g."
            ' "Europe/Berlin"'
        )


def _schedule_mistakes(declared: ScheduleDeclaration) -> Iterator[str]:
    if declared.overlap not in OVERLAPS:
        listed = ", ".join(f'"{overlap}"' for overlap in OVERLAPS)
        yield f"can't have overlap={shown(declared.overlap)}; it is one of {listed}"
    if mistake := duration_mistake(declared.catch_up):
        yield f"can't have catch_up={shown(declared.catch_up)}: {mistake}"
    if mistake := duration_mistake(declared.jitter):
        yield f"can't have jitter={shown(declared.jitter)}: {mistake}"
    elif (
        declared.every is not None
        and not _interval_mistake(declared.every)
        and seconds_of("", declared.jitter) > seconds_of("", declared.every)
    ):
        yield (
            f"can't have jitter={shown(declared.jitter)}, which is longer than every="
            f"{shown(declared.every)}; make it shorter"
        )


def cron_mistake(cron: object) -> str | None:
    """Why this can't be read as a crontab's expression. None if it can."""
    way_out = 'write minute, hour, day of month, month and day of week, e.g. "0 2 * * *"'
    if not isinstance(cron, str):
        return f"it is not text; {way_out}"
    try:
        next(CronSim(cron, datetime.now(UTC)))
    except StopIteration:
        return "it has no tick in the next 50 years; name a day that exists"
    except Exception as error:  # it also raises what it does not mean to
        return f"{str(error) or type(error).__name__}; {way_out}"
    return None


def is_timezone(name: object) -> bool:
    """Whether this is the IANA name of a timezone."""
    if not isinstance(name, str) or not name:
        return False
    try:
        ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # a folder of zones, a path, an unknown name
        return False
    return True


def _interval_mistake(every: object) -> str | None:
    if mistake := duration_mistake(every):
        return mistake
    milliseconds = seconds_of("", every) / MILLISECOND
    if milliseconds < 1 or abs(milliseconds - round(milliseconds)) > MILLISECOND:
        return "it is a whole number of milliseconds from 1 up; name another"
    return None
