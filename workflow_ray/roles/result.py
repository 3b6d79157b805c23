"""A result of an attempt, as it waits for its commit."""

import asyncio
from dataclasses import dataclass
from typing import TypeAlias

from workflow_ray.records import (
    ChildRefused,
    ErrorDetail,
    MessageFailure,
    OnceAnswer,
    OnceResult,
    Postponed,
    Write,
    WriteResult,
)
from workflow_ray.roles.attempt import Attempt

Answer: TypeAlias = WriteResult | OnceAnswer | None


@dataclass(slots=True, eq=False)
class Result:
    """A write, the attempt that it settles, and a future for its result. All are optional.

    The future is done when this result and all earlier ones are committed.
    """

    write: Write | None = None
    attempt: Attempt | None = None
    answer: asyncio.Future[Answer] | None = None
    failure: MessageFailure | None = None
    once: OnceResult | None = None
    postponed: Postponed | None = None

    @property
    def has_content(self) -> bool:
        """Whether there is anything to store."""
        return self.write is not None or self.has_extras

    @property
    def has_extras(self) -> bool:
        """Whether there is anything to store beside a write."""
        return self.failure is not None or self.once is not None or self.postponed is not None

    def set_answer(self, answer: Answer) -> None:
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(answer)


def size_of_children(write: Write) -> int:
    """The bytes of data of the runs that a write starts."""
    return sum(len(child.write.data or b"") for child in write.children)


def size_of_error(error: ErrorDetail) -> int:
    """The bytes of an error's texts, about."""
    return len(error.message) + len(error.trace or "")


def why_refused(refused: ChildRefused) -> str:
    return (
        f"the child {refused.foreign_id!r} can't be started: its foreign id has the unfinished run"
        f' {refused.active}; choose another one, or start it with if_active="join"'
    )
