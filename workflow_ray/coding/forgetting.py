"""Deletes what codecs keep outside of the store of runs that the store has deleted."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from workflow_ray.coding.chains import Chains, chains_of
from workflow_ray.definition import Workflow
from workflow_ray.errors import WorkflowError
from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    ActiveRun,
    Cause,
    Committed,
    Conflict,
    GroupResult,
    KeyUsed,
    NotAwaited,
    Posted,
    Record,
    RunId,
    RunState,
    Stored,
    VisitOver,
    Write,
    WriteGroup,
    WriteResult,
)

log = logging.getLogger(__name__)


async def forget_erased(
    store: RecordStore,
    chains: Chains,
    groups: Sequence[WriteGroup],
    answers: Sequence[GroupResult],
) -> None:
    """Let the codecs forget the runs whose data these groups have erased, which they have removed,
    or which they have not created after all. So do runs that were erased earlier, for which these
    groups had something encoded that was then refused.

    It comes after the commit, because a write that is refused must not cost a run its data. What is
    missed by a crash in between is found by `sweep`.

    Args:
        store: The store.
        chains: The codecs.
        groups: What was stored. Messages that were encoded name their runs.
        answers: Of the store.

    Raises:
        WorkflowError: What codecs keep of runs that were erased or removed can't be deleted now.
            The error is transient: the groups may be stored again, which deletes it.
    """
    gone: defaultdict[str, list[RunId]] = defaultdict(list)
    refused: defaultdict[str, list[RunId]] = defaultdict(list)
    for group, answer in zip(groups, answers, strict=True):
        if isinstance(answer, Committed):
            for workflow, run_id in await _gone(store, chains, group, answer):
                gone[workflow].append(run_id)
            for workflow, run_id in await _refused(store, chains, group, answer):
                refused[workflow].append(run_id)
    for workflow, run_ids in refused.items():
        await _forget(chains, workflow, run_ids)
    for workflow, run_ids in gone.items():
        await _forget(chains, workflow, run_ids, must=True)


async def forget_again(workflow: Workflow[Any, Any], run_ids: Sequence[RunId]) -> None:
    """Let the codecs forget runs whose data was deleted, because a process may have died before it
    did. Raises WorkflowError, as `forget_erased`.
    """
    chains = chains_of(workflow)
    if chains is not None:
        await _forget(chains, workflow.name, run_ids, must=True)


async def _forget(
    chains: Chains, workflow: str, run_ids: Sequence[RunId], *, must: bool = False
) -> None:
    """Let the codecs of a workflow forget runs. A failure is logged; with `must`, one that is
    transient is raised.
    """
    chain = chains.of(workflow)
    if chain is None or not run_ids:
        return
    try:
        await chain.forget(run_ids)
    except WorkflowError as error:
        if must and error.transient:
            raise
        log.warning(
            "what codecs keep of %d deleted runs of %s is not deleted yet: %s",
            len(run_ids),
            workflow,
            error,
            extra={"workflow": workflow},
        )


async def _gone(
    store: RecordStore, chains: Chains, group: WriteGroup, answer: Committed
) -> list[tuple[str, RunId]]:
    """Return the runs that the group has erased or removed, and their workflows."""
    gone = [
        (chains.own, write.run_id)
        for write, result in zip(group.writes, answer.results, strict=True)
        if write.erases and isinstance(result, Stored)
    ]
    for removal in group.removals:
        if removal.runs and chains.of(removal.workflow) is not None:
            found = await look_up(store, removal.runs)
            gone += [(removal.workflow, each) for each in removal.runs if each not in found]
    return gone


async def _refused(
    store: RecordStore, chains: Chains, group: WriteGroup, answer: Committed
) -> list[tuple[str, RunId]]:
    """Return the runs that the group has not created after all, and those that were erased before
    it, with their workflows.
    """
    refused = [
        (write.new.workflow, write.run_id)
        for write, result in zip(group.writes, answer.results, strict=True)
        if write.new is not None and _is_refused(write, result)
    ]
    if late := list(_late(chains, group, answer)):
        found = await look_up(store, list({run_id for _, run_id in late}))
        refused += [each for each in late if is_erased(found.get(each[1]))]
    return refused


def _is_refused(write: Write, result: WriteResult) -> bool:
    """Whether the run was not created, and never will be."""
    match result:
        case KeyUsed(first=other) | ActiveRun(active=other):
            return other != write.run_id
        case _:
            return False


def _late(chains: Chains, group: WriteGroup, answer: Committed) -> Iterator[tuple[str, RunId]]:
    """Return the runs for which something was encoded that was not stored, and their workflows.
    Each of them exists, or was removed.
    """
    found: list[tuple[str, RunId]] = []
    for write, result in zip(group.writes, answer.results, strict=True):
        if isinstance(result, Conflict) and write.data is not None and not write.creates:
            found.append((chains.own, write.run_id))
    for message, post in zip(group.messages, answer.posts, strict=True):
        is_repeated = isinstance(post, Posted) and not post.is_new
        is_late = isinstance(post, NotAwaited) and post.run_state is RunState.DATA_DELETED
        if message.run_id is not None and (is_repeated or is_late):
            found.append((message.key.workflow, message.run_id))
    for once in answer.once:
        if isinstance(once, VisitOver):
            found.append((chains.own, once.run_id))
    return (each for each in found if chains.of(each[0]) is not None)


async def look_up(store: RecordStore, run_ids: Sequence[RunId]) -> dict[RunId, Record]:
    """Read the records of the runs that exist, where writes commit. They come without the data,
    because that of all may not fit into memory.
    """
    found: dict[RunId, Record] = {}
    left = list(run_ids)
    while left:
        answered = await store.lookup(left, fresh=True)
        found |= {each.run_id: replace(each, data=b"") for each in answered if each is not None}
        left = left[max(1, len(answered)) :]
    return found


def is_erased(record: Record | None) -> bool:
    """Whether the run was removed, or its data was deleted."""
    return record is None or record.cause is Cause.DATA_DELETED
