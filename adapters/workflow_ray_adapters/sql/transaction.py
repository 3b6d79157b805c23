"""One writing transaction, for all the requests that have arrived."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from workflow_ray.errors import WorkflowError
from workflow_ray.records import Fence, GroupResult, RoleName, RunId, Topic, WriteGroup
from workflow_ray_adapters.sql import outbox, roles, writes
from workflow_ray_adapters.sql.ledger import AT_ONCE
from workflow_ray_adapters.sql.session import Session

Call: TypeAlias = Callable[[Session], Any]
"""What one request wants done. A WorkflowError that it raises is its answer, so it comes before its first write."""


@dataclass(frozen=True)
class Store:
    """Store the groups, or nothing of them."""

    groups: Sequence[WriteGroup]


@dataclass(frozen=True)
class Move:
    """Publish up to `limit` entries of the outbox."""

    fence: Fence
    limit: int


@dataclass(frozen=True)
class Work:
    """What one transaction does, in this order."""

    now: int  # microseconds
    calls: Sequence[Call] = ()
    stores: Sequence[Store] = ()
    moves: Sequence[Move] = ()
    parked: Sequence[Move] = ()  # these found nothing before: they are made where `stores` adds something


@dataclass
class Done:
    """The answers, each list in the order of what was asked, and what to wake others for."""

    calls: list[Any] = field(default_factory=list[Any])
    stores: list[list[GroupResult]] = field(default_factory=list[list[GroupResult]])
    moves: list[int | WorkflowError] = field(default_factory=list[int | WorkflowError])
    parked: list[int | WorkflowError] = field(default_factory=list[int | WorkflowError])  # empty: they weren't made
    runs: set[RunId] = field(default_factory=set[RunId])  # that have a new version
    topics: set[Topic] = field(default_factory=set[Topic])  # that have new events
    due: set[int] = field(default_factory=set[int])  # when entries of the outbox get due


def perform(session: Session, work: Work) -> Done:
    """Do it all. An error that it raises is no answer of a single request: the transaction must be undone."""
    done = Done(calls=[_call(call, session) for call in work.calls])
    epochs = roles.epochs(session, _roles(work))
    if work.stores:
        landed = writes.store(session, [group for store in work.stores for group in store.groups], epochs, work.now)
        answers = iter(landed.answers)
        done.stores = [[next(answers) for _ in store.groups] for store in work.stores]
        done.runs, done.due = landed.runs, landed.due
    done.moves = [_move(session, move, epochs, work.now, done) for move in work.moves]
    if AT_ONCE in done.due:
        done.parked = [_move(session, move, epochs, work.now, done) for move in work.parked]
    return done


def _roles(work: Work) -> set[RoleName]:
    held = {group.fence.role for store in work.stores for group in store.groups if group.fence}
    return held | {move.fence.role for move in (*work.moves, *work.parked)}


def _call(call: Call, session: Session) -> Any:
    try:
        return call(session)
    except WorkflowError as refusal:
        return refusal


def _move(session: Session, move: Move, epochs: Mapping[RoleName, int], now: int, done: Done) -> int | WorkflowError:
    try:
        roles.check(move.fence, epochs)
    except WorkflowError as refusal:
        return refusal
    moved = outbox.move(session, now, move.limit)
    done.topics.update(moved)
    if not moved and (due := outbox.next_due(session, now)) is not None:
        done.due.add(due)
    return sum(moved.values())
