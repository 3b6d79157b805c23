"""Controls of runs: pause, resume, retry, cancel, move and delete_data, for one run or for many."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from workflow_ray.client.inputs import checked_by, checked_reason
from workflow_ray.client.writer import Writer
from workflow_ray.definition.arguments import checked_flag
from workflow_ray.engine.announcements import announcing
from workflow_ray.engine.control import (
    Action,
    Control,
    Destination,
    Refused,
    Unchanged,
    decide_control,
    steps_left_delayed,
)
from workflow_ray.engine.data_deletion import deletion_entries
from workflow_ray.engine.delays import delays_left
from workflow_ray.errors import ControlRefused, InvalidInput
from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    Conflict,
    Record,
    RunId,
    RunState,
    Version,
    Write,
    WriteGroup,
    new_write_id,
)

BATCH = 500
"""The largest number of runs that one call to the store controls."""
EXPLAINED = (Action.PAUSE, Action.CANCEL, Action.MOVE)
"""The actions that need a reason."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The action was committed, as this version of the run."""

    version: Version


@dataclass(frozen=True, slots=True)
class Missing:
    """The run does not exist."""


Outcome: TypeAlias = Changed | Unchanged | Refused | Missing


def control(
    action: Action,
    by: object,
    reason: object = None,
    *,
    cascade: object = None,
    to: Destination | None = None,
) -> Control:
    """Make a control of what a caller handed in. Raises InvalidInput.

    Args:
        action: What to do.
        by: Who asks for it.
        reason: Why.
        cascade: Of a cancellation. See Control.
        to: Of a move. See Control.
    """
    if reason is None and action in EXPLAINED:
        raise InvalidInput(
            "reason", f"give one: the history keeps why a run was {action.participle}"
        )
    if reason is not None and action is Action.DELETE_DATA:
        raise InvalidInput("reason", "leave it out: it would be deleted with the data")
    return Control(
        action,
        checked_by(by),
        None if reason is None else checked_reason(reason),
        cascade=None if cascade is None else checked_flag("cascade", cascade),
        to=to,
    )


async def apply(
    writer: Writer,
    asked: Control,
    found: Sequence[Record],
    announced: Mapping[str, Collection[RunState]],
) -> dict[RunId, Outcome]:
    """Apply a control to runs, in batches.

    A run that changes meanwhile is looked up again and decided again, until the action is committed
    or the run does not allow it.

    Args:
        writer: Commits the writes.
        asked: The control.
        found: The runs as they were found.
        announced: The run states that hooks ask for, by workflow.

    Returns:
        One outcome for each run.
    """
    outcomes: dict[RunId, Outcome] = {}
    for start in range(0, len(found), BATCH):
        batch: Sequence[Record] = found[start : start + BATCH]
        while batch:
            outcomes |= await _apply_once(writer, asked, batch, announced)
            lost = [record.run_id for record in batch if record.run_id not in outcomes]
            batch = await look_up(writer.records, lost, fresh=True)
            outcomes |= {
                run_id: Missing() for run_id in set(lost) - {record.run_id for record in batch}
            }
    return outcomes


async def _apply_once(
    writer: Writer,
    asked: Control,
    batch: Sequence[Record],
    announced: Mapping[str, Collection[RunState]],
) -> dict[RunId, Outcome]:
    """Apply a control to a batch. Runs that changed meanwhile have no outcome."""
    outcomes: dict[RunId, Outcome] = {}
    writes: list[Write] = []
    deleting: list[tuple[Record, bool]] = []
    delays = await _delays_left(writer.records, asked, batch)
    for record in batch:
        delay = delays.get(record.run_id, 0.0)
        decided = decide_control(record, asked, write_id=new_write_id(), delay=delay)
        if asked.action is Action.DELETE_DATA:
            deleting.append((record, isinstance(decided, Write)))
        if isinstance(decided, Write):
            writes.append(announcing(announced.get(record.workflow, ()), record, decided))
        else:
            outcomes[record.run_id] = decided
    entries = deletion_entries(deleting)
    if writes or entries:
        group = WriteGroup(writes=tuple(writes), set_aside=entries)
        answer = await writer.commit(group)
        stored = zip(writes, answer.results, strict=True)
        outcomes |= {
            write.run_id: Changed(write.version)
            for write, result in stored
            if not isinstance(result, Conflict)
        }
    return outcomes


async def _delays_left(
    records: RecordStore, asked: Control, batch: Sequence[Record]
) -> Mapping[RunId, float]:
    """Read the seconds that are left of the delays of steps, where the control leaves them be."""
    if not (steps := steps_left_delayed(asked, batch)):
        return {}
    return delays_left(await records.activity(limit=len(steps), steps=steps))


async def look_up(
    records: RecordStore, run_ids: Sequence[RunId], *, fresh: bool = False
) -> list[Record]:
    """Look up runs, in the order given. Runs that do not exist are left out.

    Args:
        records: The store.
        run_ids: Any number of run ids.
        fresh: Read where writes commit, so that nothing committed before the call is missed.
    """
    found: list[Record | None] = []
    while rest := run_ids[len(found) :]:
        found += await records.lookup(rest, fresh=fresh)
    return [record for record in found if record is not None]


def check_allowed(run_id: RunId, asked: Control, outcome: Outcome) -> None:
    """Check that the run allowed the action. Raises ControlRefused."""
    if isinstance(outcome, Refused):
        raise ControlRefused(run_id, asked.action.verb, outcome.why)
