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
    if not isinstance(key, str):
        raise InvalidInput(what, f"it must be text, not {type(key).__name__}")
    if not key:
        raise InvalidInput(what, "it is empty; give each run a key of its own")
    if why := flaw_of_key(key):
        raise InvalidInput(what, why)
    return key


def checked_data(workflow: Workflow[D, S], data: D) -> bytes:
    """The data as it is stored. Raises InvalidInput: it isn't the model's, can't be written as
    JSON, or is too long.
    """
    encoded = workflow.encode(data)
    if len(encoded) > MAX_DATA:
        raise InvalidInput("the run's data", f"it is {len(encoded)} bytes long; {MAX_DATA} are allowed")
    return encoded


def checked_start(workflow: Workflow[D, S], start_at: S | None) -> S:
    start = workflow.start if start_at is None else start_at
    if not isinstance(start, workflow.statuses):
        raise InvalidInput("start_at", f"{start!r} is no status of workflow {workflow.name!r}")
    return start
