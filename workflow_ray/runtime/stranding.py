"""Looks in a store for unfinished runs that could not go on after a deploy."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from workflow_ray.coding import coded
from workflow_ray.definition import Workflow
from workflow_ray.engine.interrupts import is_interrupt
from workflow_ray.engine.next_version import kept
from workflow_ray.engine.runs import decoded
from workflow_ray.engine.shapes import CALLBACK
from workflow_ray.engine.stranding import counted, stranded
from workflow_ray.errors import EncodedData, NewerData, UnreadableData
from workflow_ray.errors.deploys import StrandedRuns
from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    DeployedWorkflow,
    MessageKind,
    MessageQuery,
    Record,
    RunQuery,
    RunState,
)
from workflow_ray.records.encoded import opened

SAMPLE = 100
"""The number of the oldest unfinished runs at a status, and of the newest ones, that are read, and
of finished runs of a workflow.
"""
SHOWN = 3
"""The number of different flaws of data that are told."""
PUT_CODEC_BACK = "put its codec back into codec= of the workflow"
LET_MODEL_ACCEPT = "let the model accept it, or raise data_version and add a migration"
UNFINISHED = tuple(run_state for run_state in RunState if not run_state.finished)
FINISHED = tuple(run_state for run_state in RunState if run_state.finished)


async def find_stranded(
    records: RecordStore,
    before: DeployedWorkflow,
    after: DeployedWorkflow,
    definition: Workflow[Any, Any] | None,
) -> list[StrandedRuns]:
    """Find runs that could not go on. Runs that move while this looks may be missed.

    Args:
        records: Where the runs are.
        before: The workflow as it is deployed.
        after: The workflow as it would be deployed.
        definition: That of `after`, with which a sample of the runs is read. None: none is read.
    """
    if definition is not None:
        records = coded(records, definition)
    unfinished = await count_unfinished(records, after.name)
    moved = () if definition is None else tuple(definition.moved)
    found = stranded(before, after, unfinished, moved)
    for number in unfinished:
        query = RunQuery(workflow=after.name, statuses=(number,), run_states=UNFINISHED)
        some = await sample(records, query)
        found += await _waiting_callbacks(records, after, number, some)
        if definition is not None:
            found += _unreadable(before, after, number, some, definition)
    return found


async def count_unfinished(records: RecordStore, workflow: str) -> dict[int, int]:
    """Count the unfinished runs at each status that has some."""
    unfinished = Counter[int]()
    for count in await records.counts(workflow):
        if not count.run_state.finished:
            unfinished[count.status] += count.runs
    return dict(sorted(unfinished.items()))


async def sample(records: RecordStore, query: RunQuery) -> list[Record]:
    """Read some runs of a query: the oldest, which have the oldest data, and the newest."""
    found: dict[str, Record] = {}
    for newest_first in (False, True):
        page = msgspec.structs.replace(query, newest_first=newest_first, limit=SAMPLE)
        found |= {record.run_id: record for record in await records.runs(page)}
    return list(found.values())


# --- data ---------------------------------------------------------------------------------------


def _unreadable(
    before: DeployedWorkflow,
    after: DeployedWorkflow,
    number: int,
    sample: Sequence[Record],
    definition: Workflow[Any, Any],
) -> Iterator[StrandedRuns]:
    """Find runs whose data the definition can't read."""
    found = [flaw for record in sample if (flaw := _flaw_of(record, definition))]
    flaws = Counter(why for why, _ in found)
    if failing := flaws.total():
        shown = [f"{why} ({runs:,})" for why, runs in flaws.most_common(SHOWN)]
        others = len(flaws) - len(shown)
        listed = "; ".join([*shown, f"and {others} others"] if others else shown)
        read = "1 that was read" if len(sample) == 1 else f"{len(sample):,} that were read"
        ways = dict.fromkeys(way_out for _, way_out in found)
        yield StrandedRuns(
            after.name,
            f"the data of {counted(failing)} at {name_of(number, before, after)}, of {read},"
            f" can't be read as {definition.data.__name__}: {listed}",
            failing,
            "; ".join(ways),
        )


def _flaw_of(record: Record, definition: Workflow[Any, Any]) -> tuple[str, str] | None:
    """Why the data can't be read, without its values, and the way out. None if it can."""
    try:
        decoded(definition, record.run_id, record.data, record.data_version)
    except EncodedData as error:
        # a key that is not here may be where the runs go on; a codec that the code lacks is not
        return None if opened(record.data) is None else (kept(error.why), PUT_CODEC_BACK)
    except NewerData as error:
        return error.why, f"deploy code that knows version {error.stored}"
    except UnreadableData as error:
        return kept(error.why), LET_MODEL_ACCEPT
    except BaseException as error:  # the validators of a data model are user code
        if is_interrupt(error):
            raise
        return type(error).__name__, LET_MODEL_ACCEPT
    return None


def name_of(number: int, *workflows: DeployedWorkflow) -> str:
    """Return the name of a status, as one of the workflows has it."""
    names = {stored: name for each in workflows for name, stored in each.statuses.items()}
    return names.get(number, f"status {number}")


# --- messages -----------------------------------------------------------------------------------


async def _waiting_callbacks(
    records: RecordStore, after: DeployedWorkflow, number: int, sample: Collection[Record]
) -> list[StrandedRuns]:
    """Find messages that wait for callbacks which the code does not have any more."""
    run_ids = tuple(record.run_id for record in sample if record.messages)
    if not run_ids or after.shape is None:
        return []
    has = {
        name.removeprefix(CALLBACK)
        for name, _, _ in after.shape.functions
        if name.startswith(CALLBACK)
    }
    query = MessageQuery(run_ids=run_ids, payloads=False)
    waiting: dict[str, set[str]] = {}
    for message in await records.messages(query):
        is_callback = message.key.kind is MessageKind.CALLBACK
        if is_callback and message.outcome is None and message.name not in has:
            waiting.setdefault(message.name, set()).add(message.run_id)
    return [
        StrandedRuns(
            after.name,
            f"callback {name} is gone, and its messages wait at {counted(len(runs))}"
            f" of {name_of(number, after)}, and would fail",
            len(runs),
            "put it back until they are taken",
        )
        for name, runs in sorted(waiting.items())
    ]
