"""What waits for a writing transaction."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any, TypeVar

from workflow_ray.errors import WorkflowError
from workflow_ray.records import BATCH_DATA
from workflow_ray_adapters.sql.transaction import Call, Store

T = TypeVar("T", bound=Exception)
TRANSACTION_ROWS = 2_000
QUEUE_ROWS = 50_000
PASSED_OVER = 3
"""Transactions in a row that leave requests of clients waiting; in the next one these go first."""


def copied(error: T) -> T:
    """Of an error that several get each raises one of its own."""
    return type(error)(*error.args) if isinstance(error, WorkflowError) else error


@dataclass(eq=False)
class Request:
    """Something to be done, and its answer.

    It may be done although nobody waits for it any more.
    """

    what: Call | Store
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    _result: Any = None
    _error: Exception | None = None

    def __post_init__(self) -> None:
        groups = self.what.groups if isinstance(self.what, Store) else ()
        self.rows = sum(len(group.writes) + len(group.positions) for group in groups) or 1
        self.size = sum(len(write.data or b"") for group in groups for write in group.writes)
        self.is_urgent = not groups or any(group.fence for group in groups)  # asked by a role

    def settle(self, answer: Any) -> None:
        """Give it its answer, which may be an error."""
        if isinstance(answer, Exception):
            self.fail(answer)
        elif not self.settled.is_set():
            self._result = answer
            self.settled.set()

    def fail(self, error: Exception) -> None:
        if not self.settled.is_set():
            self._error = copied(error)
            self.settled.set()

    async def answer(self) -> Any:
        """Raises it where it is an error."""
        await self.settled.wait()
        if self._error:
            raise self._error
        return self._result


class Queue:
    """Requests in order of arrival, up to a number of rows. One larger than that is let in where
    nothing else waits.
    """

    def __init__(self) -> None:
        self._requests: deque[Request] = deque()
        self._rows = 0

    def __len__(self) -> int:
        return len(self._requests)

    def put(self, request: Request) -> bool:
        """False: it is full."""
        if self._requests and self._rows + request.rows > QUEUE_ROWS:
            return False
        self._requests.append(request)
        self._rows += request.rows
        return True

    def first(self) -> Request:
        return self._requests[0]

    def pop(self) -> Request:
        request = self._requests.popleft()
        self._rows -= request.rows
        return request


class Arrivals:
    """Two queues. What roles ask for goes before what clients do, but not always: roles that always
    have more to write must not starve clients.
    """

    def __init__(self) -> None:
        self._roles = Queue()
        self._clients = Queue()
        self._passed_over = 0

    def put(self, request: Request) -> bool:
        """False: its queue is full."""
        return (self._roles if request.is_urgent else self._clients).put(request)

    def batch(self) -> list[Request]:
        """Remove what goes into the next transaction: as much as fits, and at least one request
        where there is one.
        """
        batch: list[Request] = []
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
