"""Checks of what callers hand in, before anything is written."""

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar, cast

from pydantic import BaseModel

from workflow_ray.definition import Status, Workflow
from workflow_ray.definition.arguments import checked_text, shown
from workflow_ray.errors import InvalidInput
from workflow_ray.records import MAX_DATA, RunState, flaw_of_key

V = TypeVar("V")
D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


def checked_key(what: str, key: object) -> str:
    """Check a foreign id or idempotency key: 1 to 255 characters that every database can store.

    `what` names the argument in the error. Raises InvalidInput.
    """
    return _short_text(what, key, "it is empty; give each run a key of its own")


def checked_job_id(job_id: object) -> str:
    """Check the id of a bulk job: like a key. Raises InvalidInput."""
    return _short_text(
        "job_id", job_id, "it is empty; `workflow-ray bulk list WORKFLOW` shows the ids"
    )


def checked_by(by: object) -> str:
    """Check the name of who asks for something: like a key. Raises InvalidInput."""
    return _short_text("by", by, "it is empty; say who asks for it")


def checked_reason(reason: object) -> str:
    """Check that a reason is text and not blank. Raises InvalidInput."""
    text = checked_text("reason", reason)
    if not text.strip():
        raise InvalidInput("reason", "it is empty; the history keeps it, so say why")
    return text


def _short_text(what: str, given: object, when_empty: str) -> str:
    text = checked_text(what, given)
    if not text:
        raise InvalidInput(what, when_empty)
    if why := flaw_of_key(text):
        raise InvalidInput(what, why)
    return text


def checked_data(workflow: Workflow[D, S], data: D) -> bytes:
    """Return the data as it is stored.

    Raises InvalidInput: it is not of the model, does not read back equal, or is too long.
    """
    encoded = workflow.encode(data)
    if len(encoded) > MAX_DATA:
        raise InvalidInput(
            "the run's data", f"it is {len(encoded)} bytes long; {MAX_DATA} are allowed"
        )
    return encoded


def checked_start(workflow: Workflow[D, S], start_at: S | None) -> S:
    """Return the status that a run starts at: the one given, or the workflow's start."""
    return workflow.start if start_at is None else checked_status("start_at", workflow, start_at)


def checked_status(what: str, workflow: Workflow[D, S], status: object) -> S:
    """Check that this is a status of the workflow. Raises InvalidInput."""
    if not isinstance(status, workflow.statuses):
        known = f"{workflow.statuses.__name__}.{next(iter(workflow.statuses)).name}"
        raise InvalidInput(
            what,
            f"{shown(status)} is not a status of workflow {workflow.name!r}; give one, e.g."
            f" {known}",
        )
    return status


def checked_workflow(workflow: Workflow[D, S]) -> Workflow[D, S]:
    """Check that this is a workflow, and not its name, for example. Raises InvalidInput."""
    if not isinstance(workflow, Workflow):  # pyright: ignore[reportUnnecessaryIsInstance]  # of a caller without types
        raise InvalidInput(
            "workflow", f"hand in the Workflow itself, not {type(workflow).__name__}"
        )
    return workflow


def checked_run_state(what: str, run_state: object) -> RunState:
    """Check that this is a run state. Raises InvalidInput."""
    if not isinstance(run_state, RunState):
        raise InvalidInput(
            what, f"{shown(run_state)} is not a run_state; give one, e.g. RunState.PAUSED"
        )
    return run_state


def checked_iterable(what: str, given: Iterable[V]) -> Iterable[V]:
    """Check that these are several values, not a single one. Raises InvalidInput."""
    if isinstance(given, str) or not _is_iterable(given):
        raise InvalidInput(what, f"hand in several, e.g. a list, not {type(given).__name__}")
    return given


def _is_iterable(value: object) -> bool:
    return isinstance(value, Iterable)


def checked_several(what: str, given: object, check: Callable[[str, object], V]) -> tuple[V, ...]:
    """Return the values of a filter that takes one or several. None gives no values.

    Args:
        what: The argument's name, for errors.
        given: What the caller handed in.
        check: Checks one value.

    Raises:
        InvalidInput: A value can't be used, or there are none. None of the values asked for is not
            the same as all of them.
    """
    if given is None:
        return ()
    several: Collection[object] = (given,)
    if isinstance(given, Collection) and not isinstance(given, str):
        several = cast(Collection[object], given)
    if not several:
        raise InvalidInput(what, "it holds none; give one or several, or leave it out for all")
    return tuple(check(what, one) for one in several)
