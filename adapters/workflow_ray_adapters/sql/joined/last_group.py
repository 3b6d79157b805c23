"""The last group of a step's transaction, which is committed with it."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

from workflow_ray.records import Committed, GroupResult, Stored, WriteGroup

JOINING: Final = "create_savepoint"
"""The session's own transactions are savepoints: whatever the step commits or rolls back, the
transaction goes on.
"""
WriteLast = Callable[[Connection, WriteGroup], GroupResult]


def is_complete(answer: GroupResult) -> bool:
    """Whether nothing of the group was left out."""
    return isinstance(answer, Committed) and all(
        isinstance(result, Stored) for result in answer.results
    )
