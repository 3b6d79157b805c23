"""The entry of a status: the timeouts that are set, and the children that are waited for."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

from pydantic import ValidationError

from workflow_ray.definition import (
    ChildFunction,
    ChildrenFunction,
    Run,
    Status,
    TimeoutFunction,
    Workflow,
)
from workflow_ray.engine.error_text import text_of
from workflow_ray.engine.interrupts import is_interrupt
from workflow_ray.records import Gathering, Link, NewTimeout, Record


class TimeoutNotSet(Exception):
    """The user's function gave no time. The text says which one, and why."""


def timeouts_of(
    workflow: Workflow[Any, Any], status: Status, entered: Record
) -> tuple[NewTimeout, ...]:
    """Make the timeouts of a status for a run that enters it.

    Args:
        workflow: The run's workflow.
        status: The status that it enters.
        entered: Its record at that status.

    Raises:
        TimeoutNotSet: A user's function has raised, or gave no time.
    """
    return tuple(
        NewTimeout(
            name=timeout.name,
            workflow=workflow.name,
            partition=entered.partition,
            after=timeout.after,
            at=None if timeout.at is None else _time_of(workflow, status, timeout, entered),
        )
        for timeout in workflow.checked().timeouts(status)
    )


def gatherings_of(workflow: Workflow[Any, Any], status: Status) -> tuple[Gathering, ...]:
    """The children that a run at the status waits for, by workflow."""
    functions = workflow.checked().children_functions
    return tuple(
        Gathering(workflow=name, statuses=_statuses_of(functions, name))
        for name in (function.child.name for function in functions if function.status is status)
    )


def link_to(workflow: Workflow[Any, Any], child: str, *, cascades: bool) -> Link:
    """Link a run to a child that it starts.

    Args:
        workflow: The run's workflow.
        child: The name of the child's workflow.
        cascades: Whether the child is cancelled with the run.
    """
    graph = workflow.checked()
    return Link(
        statuses=_statuses_of(graph.child_functions, child),
        gathered_at=_statuses_of(graph.children_functions, child),
        cascades=cascades,
    )


def _statuses_of(
    functions: Iterable[ChildFunction[Any] | ChildrenFunction[Any]], child: str
) -> tuple[int, ...]:
    """The statuses that have a function for children of the workflow `child`."""
    return tuple(function.status.value for function in functions if function.child.name == child)


def _time_of(
    workflow: Workflow[Any, Any], status: Status, timeout: TimeoutFunction[Any], entered: Record
) -> datetime:
    """Call the user's function, with a copy of the run as it enters the status."""
    assert timeout.at is not None
    where = f"the timeout {timeout.name} of {status} can't be set"
    try:
        run = Run.stored(entered, workflow.decode(entered.data), status)
        at = cast(object, timeout.at(run))
        if not isinstance(at, datetime):
            why = f"its `at` gave a value of type {type(at).__name__}, not a datetime"
        elif at.utcoffset() is None:
            why = "its `at` gave a time without a timezone"
        else:
            return at.astimezone(UTC)
    except ValidationError:
        why = "the data can't be read"
    except BaseException as error:  # it is user code, and may raise anything
        if is_interrupt(error):
            raise
        why = f"its `at` raised {text_of(error)}"
    raise TimeoutNotSet(f"{where}: {why}")
