"""What one transaction is for, and what is tried next where it fails.

TOGETHER -- failed --> ALONE -- failed, several requests --> two halves, each ALONE
                         |
                         +----- failed, one request -------> it gets the error

Committed, in any of them: all get their answers.
The store does not work, in any of them: all get the error, because it is not theirs.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, TypeAlias, assert_never

import msgspec

from workflow_ray.errors import StoreError
from workflow_ray_adapters.sql.moves import MoveInput, MoveRequest
from workflow_ray_adapters.sql.requests import CallRequest, StoreRequest
from workflow_ray_adapters.sql.transaction import Done

Request: TypeAlias = StoreRequest | CallRequest[Any] | MoveRequest


class Batch(msgspec.Struct, frozen=True):
    """The requests of one transaction, by their kinds. It does them in this order."""

    calls: Sequence[CallRequest[Any]] = ()
    stores: Sequence[StoreRequest] = ()
    moves: Sequence[MoveRequest] = ()

    @classmethod
    def of(cls, requests: Sequence[Request]) -> "Batch":
        calls: list[CallRequest[Any]] = []
        stores: list[StoreRequest] = []
        moves: list[MoveRequest] = []
        for request in requests:
            match request:
                case CallRequest():
                    calls.append(request)
                case StoreRequest():
                    stores.append(request)
                case MoveRequest():
                    moves.append(request)
                case _:
                    assert_never(request)
        return cls(calls, stores, moves)

    def __len__(self) -> int:
        return len(self.calls) + len(self.stores) + len(self.moves)

    def halves(self) -> tuple["Batch", "Batch"]:
        """Return two that together are this one. Each is smaller where it has several requests."""
        requests: list[Request] = [*self.calls, *self.stores, *self.moves]
        middle = len(requests) // 2
        return Batch.of(requests[:middle]), Batch.of(requests[middle:])

    def fail(self, error: Exception) -> None:
        """Give the error to each that has no answer yet."""
        for call in self.calls:
            call.reply.fail(error)
        for store in self.stores:
            store.reply.fail(error)
        for move in self.moves:
            move.fail(error)


class Committed(msgspec.Struct, frozen=True):
    """The transaction has committed."""

    done: Done


class Failed(msgspec.Struct, frozen=True):
    """The transaction has failed, perhaps because of one of its requests. Nothing was written."""

    error: Exception


class Unavailable(msgspec.Struct, frozen=True):
    """The store does not work. Whether the transaction has committed may be unknown."""

    error: StoreError


Outcome: TypeAlias = Committed | Failed | Unavailable


class Stage(Enum):
    TOGETHER = auto()
    """The batch, and the moves that join it."""
    ALONE = auto()
    """The batch, or a part of it."""


class Trial(msgspec.Struct, frozen=True):
    """One transaction that is tried."""

    stage: Stage
    batch: Batch
    joining: Sequence[MoveRequest] = ()  # moves that wait: made too where the batch adds an event

    def begin(self) -> None:
        for move in (*self.batch.moves, *self.joining):
            move.take(MoveInput.BEGIN)

    def settle(self, done: Done) -> None:
        """Give the answers: the transaction has committed."""
        for call, answer in zip(self.batch.calls, done.calls, strict=True):
            call.reply.settle(answer)
        for store, results in zip(self.batch.stores, done.stores, strict=True):
            store.reply.give(results)
        for move, moved in zip(self.batch.moves, done.moves, strict=True):
            move.settle(moved)
        if done.joining:
            for move, moved in zip(self.joining, done.joining, strict=True):
                move.settle(moved)
        else:
            self._leave_out_joining()

    def fail(self, error: Exception) -> None:
        """Give all of the batch the error."""
        self._leave_out_joining()
        self.batch.fail(error)

    def retry(self, error: Exception) -> list["Trial"]:
        """Return what is tried next, in order; nothing: it was one request, which got the error."""
        self._leave_out_joining()
        match self.stage:
            case Stage.TOGETHER:
                return [Trial(Stage.ALONE, self.batch)]
            case Stage.ALONE if len(self.batch) > 1:
                return [Trial(Stage.ALONE, half) for half in self.batch.halves()]
            case Stage.ALONE:
                self.batch.fail(error)
                return []
            case _:
                assert_never(self.stage)

    def _leave_out_joining(self) -> None:
        for move in self.joining:
            move.take(MoveInput.OVER)
