"""What a run waits for that rests without a step, as text. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from workflow_ray.definition import (
    Callback,
    ChildFunction,
    ChildrenFunction,
    Graph,
    Status,
    TimeoutFunction,
)
from workflow_ray.definition.durations import spelled
from workflow_ray.records import Awaits, FlowLimits, Record, RunState


def awaited(
    graph: Graph[Any], status: Status | None, record: Record, *, entered_at: datetime | None = None
) -> str:
    """Say what a run waits for, such as "callback paid, or timeout expire (due 2026-11-28
    10:00:00Z)".

    Args:
        graph: The graph of the run's workflow.
        status: The run's status. None: the code has no status of that number.
        record: The run.
        entered_at: When it entered its status, for the due times of timeouts. None: unknown.

    Returns:
        "" if the run goes on by itself, or is finished. For a parked run the limits of the code.
    """
    if record.run_state is RunState.PAUSED:
        return awaited_when_paused(record)
    if record.parked:
        step = None if status is None else graph.step(status)
        return awaited_when_parked(None if step is None or step.flow is None else step.flow.limits)
    if record.awaits is not Awaits.MESSAGE:
        return ""
    functions = () if status is None else graph.functions(status)
    found = [text for each in functions if (text := _of(each, entered_at))]
    if not found:
        return "an operator: nothing else moves it from its status"
    return _listed(found)


def awaited_when_paused(record: Record) -> str:
    """Say what a paused run waits for, and how many messages it has."""
    match record.messages:
        case 0:
            return "a resume"
        case 1:
            return "a resume; 1 message waits for it"
        case several:
            return f"a resume; {several} messages wait for it"


def awaited_when_delayed(due_at: datetime, runs: int = 1) -> str:
    """Say what a run waits for whose step is delayed, such as "its step (due 2026-11-28
    10:00:00Z)", or what several runs wait for, of which the first is due then.
    """
    return (
        f"its step{_at(due_at)}" if runs == 1 else f"their steps{_at(due_at, first='the first ')}"
    )


def awaited_when_parked(limits: FlowLimits | None) -> str:
    """Say what a parked run waits for, such as "its admission: flow control lets at most 5 runs
    take the step at a time".

    Args:
        limits: Those that apply at its status. None: they are not known.
    """
    texts = [] if limits is None else list(_limits_in_words(limits))
    if not texts:
        return "its admission by flow control"
    return f"its admission: flow control lets {' and '.join(texts)}"


def _limits_in_words(limits: FlowLimits) -> Iterator[str]:
    for most, of in ((limits.concurrency, ""), (limits.concurrency_per_key, " of a key")):
        if most is not None:
            yield f"at most {_runs(most)}{of} take the step at a time"
    for rate, of in ((limits.rate, ""), (limits.rate_per_key, " of a key")):
        if rate is not None:
            yield f"at most {_runs(rate.count)}{of} begin it in {spelled(rate.seconds)}"


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"


def _of(function: object, entered_at: datetime | None) -> str:
    match function:
        case Callback():
            return f"callback {function.name}"
        case TimeoutFunction():
            return f"timeout {function.name}{_due(function.after, entered_at)}"
        case ChildFunction():
            return f"the end of a child ({function.child.name})"
        case ChildrenFunction():
            return f"the ends of all its children ({function.child.name})"
        case _:
            return ""


def _due(after: float | None, entered_at: datetime | None) -> str:
    if after is None or entered_at is None:
        return ""
    return _at(entered_at + timedelta(seconds=after))


def _at(due_at: datetime, first: str = "") -> str:
    return f" ({first}due {due_at:%Y-%m-%d %H:%M:%SZ})"


def _listed(found: list[str]) -> str:
    if len(found) == 1:
        return found[0]
    return f"{', '.join(found[:-1])}, or {found[-1]}"
