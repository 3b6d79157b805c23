"""What callers hand in, refused before anything is written."""

from typing import TypeVar

from pydantic import BaseModel

from workflow_ray.definition import Status, Workflow
from workflow_ray.errors import InvalidInput
from workflow_ray.records import MAX_DATA, flaw_of_key

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


def checked_key(what: str, key: object) -> str:
    """A foreign id or idempotency key: text of 1 to 255 characters that every database can hold."""
    return _short_text(what, key, "it is empty; give each run a key of its own")


def checked_by(by: object) -> str:
    """Who asks for something: text of 1 to 255 characters that every database can hold."""
    return _short_text("by", by, "it is empty; say who asks for it")


def checked_reason(reason: object) -> str:
    """Why somebody asks for something: text that says anything."""
    if not isinstance(reason, str):
        raise InvalidInput("reason", f"it must be text, not {type(reason).__name__}")
    if not reason.strip():
        raise InvalidInput("reason", "it is empty; the history keeps it, so say why")
    return reason


def _short_text(what: str, text: object, when_empty: str) -> str:
    if not isinstance(text, str):
        raise InvalidInput(what, f"it must be text, not {type(text).__name__}")
    if not text:
        raise InvalidInput(what, when_empty)
    if why := flaw_of_key(text):
        raise InvalidInput(what, why)
    return text


def checked_data(workflow: Workflow[D, S], data: D) -> bytes:
    """The data as it is stored. Raises InvalidInput: it isn't the model's, can't be written as
    JSON, or is too long.
    """
    encoded = workflow.encode(data)
    if len(encoded) > MAX_DATA:
        raise InvalidInput(
            "the run's data", f"it is {len(encoded)} bytes long; {MAX_DATA} are allowed"
        )
    return encoded


def checked_start(workflow: Workflow[D, S], start_at: S | None) -> S:
    return workflow.start if start_at is None else checked_status("start_at", workflow, start_at)


def checked_status(what: str, workflow: Workflow[D, S], status: object) -> S:
    """A status of the workflow."""
    if not isinstance(status, workflow.statuses):
        known = f"{workflow.statuses.__name__}.{next(iter(workflow.statuses)).name}"
        raise InvalidInput(
            what,
            f"{status!r} is not a status of workflow {workflow.name!r}; give one, e.g. {known}",
        )
    return status
