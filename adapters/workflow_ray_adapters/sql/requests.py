"""What waits for a writing transaction: requests of two kinds, which are queued, each with the
reply that its caller waits for. The third kind is in the module `moves`.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar, assert_never

from workflow_ray.errors import WorkflowError
from workflow_ray.records import BATCH_DATA, GroupResult, Removal, WriteGroup
from workflow_ray_adapters.sql.removals import AT_ONCE
from workflow_ray_adapters.sql.transaction import Answer, Answered, Call, Refused

T = TypeVar("T")
E = TypeVar("E", bound=Exception)
TRANSACTION_ROWS = 2_000
QUEUE_ROWS = 50_000
OF_RUN = 10
"""The number of rows that a removed run counts as."""
PASSED_OVER = 3
"""Transactions in a row that leave requests of clients waiting; in the next one these go first."""


class Reply(Generic[T]):
    """The answer that a caller waits for. The first one stands.

    A caller may have given up: then nobody takes the answer.
    """

    def __init__(self) -> None:
        self.given = asyncio.Event()
        self._answer: Answered[T] | Exception | None = None

    def give(self, value: T) -> None:
        self._set(Answered(value))

    def fail(self, error: Exception) -> None:
        self._set(_copied(error))

    def settle(self, answer: Answer[T]) -> None:
        """Give what a transaction has answered."""
        match answer:
            case Answered(value):
                self.give(value)
            case Refused(error):
                self.fail(error)
            case _:
                assert_never(answer)

    async def wait(self) -> T:
        """Return the answer. Raises it where it is an error."""
        await self.given.wait()
        match self._answer:
            case Answered(value):
                return value
            case None:
                raise RuntimeError("a reply was given without an answer")
            case error:
                raise error

    def _set(self, answer: Answered[T] | Exception) -> None:
        if not self.given.is_set():
            self._answer = answer
            self.given.set()


def _copied(error: E) -> E:
    """Copy an error that several callers get, so that each raises one of its own."""
    return type(error)(*error.args) if isinstance(error, WorkflowError) else error


def _count_others(group: WriteGroup) -> int:
    """Return the number of rows of what is not a write or a position."""
    removed = sum(map(_count_removed, group.removals))
    others = (group.messages, group.failures, group.results, group.set_aside)
    return removed + sum(map(len, others))


def _count_removed(removal: Removal) -> int:
    """Return about the number of rows that are removed."""
    keys = 0 if removal.keys_below is None else 2 * AT_ONCE
    return OF_RUN * (len(removal.runs) + len(removal.histories)) + keys


def _size_of_others(group: WriteGroup) -> int:
    """Return the number of bytes of what is not a write."""
    payloads = [message.payload for message in group.messages]
    results = [result.result for result in group.results]
    return sum(map(len, (*payloads, *results, *(entry.event for entry in group.set_aside))))


@dataclass(eq=False)
class StoreRequest:
    """Store the groups, in one transaction."""

    groups: Sequence[WriteGroup]
    reply: Reply[list[GroupResult]] = field(default_factory=Reply[list[GroupResult]])

    def __post_init__(self) -> None:
        groups = self.groups
        rows = size = 0
        for group in groups:
            rows += len(group.writes) + len(group.positions)
            for write in group.writes:
                if write.data is not None:
                    size += len(write.data)
                if write.children:
                    rows += len(write.children)
                    size += sum(len(child.write.data or b"") for child in write.children)
            if (
                group.messages
                or group.failures
                or group.results
                or group.set_aside
                or group.removals
            ):
                rows += _count_others(group)
                size += _size_of_others(group)
        self.rows = rows or 1
        self.size = size
        self.is_urgent = not groups or any(group.fence for group in groups)  # asked by a role


@dataclass(eq=False)
class CallRequest(Generic[T]):
    """Run the function in a transaction."""

    call: Call[T]
    reply: Reply[T] = field(default_factory=Reply[T])
    rows: int = 1
    size: int = 0
    is_urgent: bool = True


Queued: TypeAlias = StoreRequest | CallRequest[Any]


class Queue:
    """Requests in order of arrival, up to a number of rows.

    A request that is larger is accepted where no other waits.
    """

    def __init__(self) -> None:
        self._requests: deque[Queued] = deque()
        self._rows = 0

    def __len__(self) -> int:
        return len(self._requests)

    def put(self, request: Queued) -> bool:
        """Append the request. False: the queue is full."""
        if self._requests and self._rows + request.rows > QUEUE_ROWS:
            return False
        self._requests.append(request)
        self._rows += request.rows
        return True

    def first(self) -> Queued:
        return self._requests[0]

    def pop(self) -> Queued:
        request = self._requests.popleft()
        self._rows -= request.rows
        return request


class Arrivals:
    """Two queues. Requests of roles go before those of clients, but not always: roles that always
    have more to write must not starve clients.
    """

    def __init__(self) -> None:
        self._roles = Queue()
        self._clients = Queue()
        self._passed_over = 0

    def __bool__(self) -> bool:
        return bool(self._roles or self._clients)

    def put(self, request: Queued) -> bool:
        """Append the request to its queue. False: that is full."""
        return (self._roles if request.is_urgent else self._clients).put(request)

    def batch(self) -> list[Queued]:
        """Remove the requests of the next transaction: as many as fit, and at least one."""
        batch: list[Queued] = []
        rows, size = TRANSACTION_ROWS, BATCH_DATA
        is_clients_turn = self._passed_over >= PASSED_OVER
        first, second = (
            (self._clients, self._roles) if is_clients_turn else (self._roles, self._clients)
        )
        while queue := first or second:
            request = queue.first()
            rows, size = rows - request.rows, size - request.size
            if batch and (rows < 0 or size < 0):
                break
            batch.append(queue.pop())
        self._passed_over = 0 if is_clients_turn or not self._clients else self._passed_over + 1
        return batch
