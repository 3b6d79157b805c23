"""The entry of a status: the timeouts that are set, the children that are waited for, and where the
run is parked.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

from pydantic import ValidationError

from workflow_ray.definition import (
    ChildFunction,
    ChildrenFunction,
    FlowControl,
    Run,
    Status,
    TimeoutFunction,
    Workflow,
)
from workflow_ray.definition.migrations import NewerVersion, NotMigrated
from workflow_ray.engine.error_text import text_of
from workflow_ray.engine.interrupts import is_interrupt
from workflow_ray.records import Gathering, Link, NewTimeout, Parking, Record, flaw_of_key

MOST_PRIORITY = 2**31 - 1
"""Databases keep a priority in 32 bits."""


class NotEntered(Exception):
    """The run can't enter the status. The text says why."""


class TimeoutNotSet(NotEntered):
    """The user's function gave no time. The text says which one, and why."""


class NotParked(NotEntered):
    """A function of the flow control gave no key, or no priority. The text says why."""


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


def parking_of(
    workflow: Workflow[Any, Any], status: Status, flow: FlowControl[Any, Any], entered: Record
) -> Parking:
    """Say where a run is parked that enters a status.

    Args:
        workflow: The run's workflow.
        status: The status that it enters.
        flow: That of the status.
        entered: Its record at that status.

    Raises:
        NotParked: A user's function has raised, or gave something that can't be used.
    """
    if flow.key is None and flow.priority is None:
        return Parking()
    name = "key"
    try:
        run = Run.stored(entered, workflow.decode(entered.data, entered.data_version), status)
        key = "" if flow.key is None else _key_from(flow.key(run))
        name = "priority"
        priority = 0 if flow.priority is None else _priority_from(flow.priority(run))
        return Parking(key=key, priority=priority)
    except ValidationError:
        why = "the data can't be read"
    except (NotMigrated, NewerVersion) as error:
        why = f"the data can't be read: {error}"
    except _Unusable as error:
        why = f"its `{name}` gave {error}"
    except BaseException as error:  # it is user code, and may raise anything
        if is_interrupt(error):
            raise
        why = f"its `{name}` raised {text_of(error)}"
    raise NotParked(f"the flow control of {status} can't park the run: {why}")


class _Unusable(Exception):
    """What a function gave can't be used. The text says what it is, without its value."""


def _key_from(key: object) -> str:
    if not isinstance(key, str):
        raise _Unusable(f"a value of type {type(key).__name__}, not text")
    if why := flaw_of_key(key):
        raise _Unusable(f"a key that can't be used: {why}")
    return str.__str__(key)  # as checked_text does


def _priority_from(priority: object) -> int:
    if type(priority) is not int:
        raise _Unusable(f"a value of type {type(priority).__name__}, not a whole number")
    if not -MOST_PRIORITY <= priority <= MOST_PRIORITY:
        raise _Unusable(f"a number outside of {-MOST_PRIORITY} to {MOST_PRIORITY}")
    return priority


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
        run = Run.stored(entered, workflow.decode(entered.data, entered.data_version), status)
        at = cast(object, timeout.at(run))
        if not isinstance(at, datetime):
            why = f"its `at` gave a value of type {type(at).__name__}, not a datetime"
        elif at.utcoffset() is None:
            why = "its `at` gave a time without a timezone"
        else:
            return at.astimezone(UTC)
    except ValidationError:
        why = "the data can't be read"
    except (NotMigrated, NewerVersion) as error:
        why = f"the data can't be read: {error}"
    except BaseException as error:  # it is user code, and may raise anything
        if is_interrupt(error):
            raise
        why = f"its `at` raised {text_of(error)}"
    raise TimeoutNotSet(f"{where}: {why}")
