"""What holds for the history of every run, whatever happened to the processes that wrote it."""

from collections import Counter
from itertools import pairwise
from typing import Any

from tests.end_to_end.workers import describe
from workflow_ray import Client, Run, Stay, Workflow
from workflow_ray.client import Entry
from workflow_ray.definition import (
    Callback,
    ChildFunction,
    ChildrenFunction,
    RunFunction,
    Step,
    TimeoutFunction,
)
from workflow_ray.records import Cause

WRITERS: dict[Cause, type[RunFunction[Any]]] = {
    Cause.STEP: Step,
    Cause.CALLBACK: Callback,
    Cause.TIMEOUT: TimeoutFunction,
    Cause.CHILD: ChildFunction,
    Cause.CHILDREN: ChildrenFunction,
}
"""What kind of function makes a version with a cause."""


async def check_history(
    workflow: Workflow[Any, Any], client: Client[Any, Any], run: Run[Any, Any]
) -> Counter[Cause]:
    """Check the history of a run that has ended. Returns how many versions each cause made.

    It has each version once, and only moves that the definition allows. Nothing comes after the
    end. No other run has had the foreign id.
    """
    history = await client.handle(run.run_id).history()
    told = describe(history)
    assert [entry.version for entry in history] == list(range(1, run.version + 1)), told
    assert [entry.run_state.finished for entry in history] == [
        *[False] * (run.version - 1),
        True,
    ], told
    assert all(is_allowed(workflow, before, after) for before, after in pairwise(history)), told
    assert [each.run_id async for each in client.runs(foreign_id=run.foreign_id)] == [run.run_id]
    return Counter(entry.cause for entry in history)


def is_allowed(
    workflow: Workflow[Any, Any], before: Entry[Any, Any], after: Entry[Any, Any]
) -> bool:
    """Whether the definition lets a run go from one entry to the next."""
    if after.cause not in WRITERS:
        return after.status is before.status
    functions = [
        each
        for each in workflow.checked().functions(before.status)
        if isinstance(each, WRITERS[after.cause])
    ]
    return any(
        after.status in each.targets or (after.status is before.status and Stay in each.halts)
        for each in functions
    )
