"""Controls of runs: pause, resume, retry and cancel, for one run or for many."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from workflow_ray.client.patience import answered
from workflow_ray.engine.control import Action, Control, Refused, Unchanged, decide_control
from workflow_ray.errors import ControlRefused, InvalidInput
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import Committed, Conflict, Record, RunId, Version, Write, WriteGroup, flaw_of_key, new_write_id

BATCH = 500
"""Runs controlled by one call to the store."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The action was committed, as this version of the run."""

    version: Version


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no such run."""


Outcome: TypeAlias = Changed | Unchanged | Refused | Missing


def control(action: Action, by: str, reason: str | None = None) -> Control:
    """Check what a caller handed in. Raises InvalidInput."""
    if not isinstance(by, str) or not by:  # pyright: ignore[reportUnnecessaryIsInstance]  # of a caller without types
        raise InvalidInput("by", "say who asks for it, as text of 1 to 255 characters")
    if flaw := flaw_of_key(by):
        raise InvalidInput("by", flaw)
    if reason is not None and not isinstance(reason, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # as above
        raise InvalidInput("reason", f"it must be text, not {type(reason).__name__}")
    if action in (Action.PAUSE, Action.CANCEL) and not (reason and reason.strip()):
        raise InvalidInput("reason", f"say why the run is to {action.value}: its history keeps the reason")
    return Control(action, by, reason)


async def apply(records: RecordStore, clock: Clock, asked: Control, found: Sequence[Record]) -> dict[RunId, Outcome]:
    """Apply a control to runs, in batches; one outcome for each.

    A run that changes meanwhile is looked up again and decided again, until the action is committed
    or the run does not allow it.

    Args:
        records: The store.
        clock: Of the store.
        asked: The control.
        found: The runs as they were found.
    """
    outcomes: dict[RunId, Outcome] = {}
    for start in range(0, len(found), BATCH):
        batch: Sequence[Record] = found[start : start + BATCH]
        while batch:
            outcomes |= await _apply_once(records, clock, asked, batch)
            lost = [record.run_id for record in batch if record.run_id not in outcomes]
            batch = await _look_up(records, clock, lost)
            outcomes |= {run_id: Missing() for run_id in set(lost) - {record.run_id for record in batch}}
    return outcomes


async def _apply_once(records: RecordStore, clock: Clock, asked: Control, batch: Sequence[Record]) -> dict[RunId, Outcome]:
    """The outcomes of those runs that did not change meanwhile."""
    outcomes: dict[RunId, Outcome] = {}
    writes: list[Write] = []
    for record in batch:
        decided = decide_control(record, asked, write_id=new_write_id())
        if isinstance(decided, Write):
            writes.append(decided)
        else:
            outcomes[record.run_id] = decided
    if writes:
        group = WriteGroup(writes=tuple(writes))
        (answer,) = await answered(lambda: records.store([group]), clock)
        assert isinstance(answer, Committed), "a group without a fence can't be fenced off"
        stored = zip(writes, answer.results, strict=True)
        outcomes |= {write.run_id: Changed(write.version) for write, result in stored if not isinstance(result, Conflict)}
    return outcomes


async def _look_up(records: RecordStore, clock: Clock, run_ids: Sequence[RunId]) -> list[Record]:
    """Those of the runs that exist, as they are now."""
    found: list[Record | None] = []
    while rest := run_ids[len(found) :]:
        found += await answered(partial(records.lookup, rest, fresh=True), clock)
    return [record for record in found if record is not None]


def check_allowed(run_id: RunId, asked: Control, outcome: Outcome) -> None:
    """Raises ControlRefused: the run did not allow the action."""
    if isinstance(outcome, Refused):
        raise ControlRefused(run_id, asked.action.value, outcome.why)
