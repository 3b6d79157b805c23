"""One writing transaction, for all the requests that have arrived."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from workflow_ray.errors import WorkflowError
from workflow_ray.records import Arrivals, Fence, GroupResult, RoleName, RunId, Topic, WriteGroup
from workflow_ray_adapters.sql import arrivals, outbox, roles, stream, writes
from workflow_ray_adapters.sql.arrivals import Receive
from workflow_ray_adapters.sql.counters import Counters
from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.rows import AT_ONCE, Values
from workflow_ray_adapters.sql.session import Session

LITTLE = 20
"""The largest number of events that the transaction that publishes them also reads: waking a reader
for so few takes longer.
"""
T = TypeVar("T")
Call: TypeAlias = Callable[[Session], T]
"""What one request wants done. A WorkflowError that it raises is its answer, so it must raise it
before its first write.
"""


class Answered(msgspec.Struct, Generic[T], frozen=True):
    """The request was done."""

    value: T


class Refused(msgspec.Struct, frozen=True):
    """The request was not done, and nothing of it was written."""

    error: WorkflowError


Answer: TypeAlias = Answered[T] | Refused
MoveAnswer: TypeAlias = Answered[int] | Refused


class Move(msgspec.Struct, frozen=True):
    """Publish up to `limit` entries of the outbox."""

    fence: Fence
    limit: int


class Work(msgspec.Struct, frozen=True):
    """What one transaction does, in this order."""

    counters: Counters
    # microseconds, by the clock of a test; None: by the store's own clock
    now: int | None = None
    calls: Sequence[Call[Any]] = ()
    # each is the groups of one request: they are stored together with the others, or not at all
    stores: Sequence[Sequence[WriteGroup]] = ()
    # runs that a try could not lock in order; the next one does
    late: set[RunId] = msgspec.field(default_factory=set[RunId])
    moves: Sequence[Move] = ()
    joining: Sequence[Move] = ()  # these are made only where `stores` adds something
    awaited: Callable[[Topic], Sequence[Receive]] = lambda _: ()
    """Returns what readers of a topic wait for. They get what the moves publish, if that is little.
    """


@dataclass
class Done:
    """The answers, each list in the order of what was asked, and what the transaction means for
    others.
    """

    notification: Notification
    calls: list[Answer[Any]] = field(default_factory=list[Answer[Any]])
    stores: list[list[GroupResult]] = field(default_factory=list[list[GroupResult]])
    moves: list[MoveAnswer] = field(default_factory=list[MoveAnswer])
    # empty: they were not made
    joining: list[MoveAnswer] = field(default_factory=list[MoveAnswer])
    received: list[tuple[Receive, Arrivals]] = field(default_factory=list[tuple[Receive, Arrivals]])
    # microseconds: when the next entry of the outbox is due, if that was looked up
    next_due: int | None = None
    drained: bool = False  # nothing of the outbox is due any more
    time: int | None = None  # microseconds by the store's clock, if a statement has returned it
    undone: bool = False  # a move reached its limit


def perform(session: Session, work: Work) -> Done:
    """Do all the work. An error that this raises is not the answer to one request: the transaction
    must be undone.
    """
    session.time = work.now
    done = Done(session.notification, calls=[_call(call, session) for call in work.calls])
    epochs = roles.epochs(session, _roles(work))
    publishing = Publishing(session, done)
    if work.stores:
        applied = writes.store(
            session,
            [group for groups in work.stores for group in groups],
            epochs,
            work.counters,
            work.late,
        )
        answers = iter(applied.answers)
        done.stores = [[next(answers) for _ in groups] for groups in work.stores]
        publishing.add(applied.outgoing)
    done.moves = [publishing.move(move, epochs) for move in work.moves]
    if publishing.added:
        done.joining = [publishing.move(move, epochs) for move in work.joining]
    publishing.leave_the_rest()
    done.time = session.time
    done.received = list(_received(session, work, publishing.published))
    return done


def _roles(work: Work) -> set[RoleName]:
    held = {group.fence.role for groups in work.stores for group in groups if group.fence}
    return held | {move.fence.role for move in (*work.moves, *work.joining)}


def _received(
    session: Session, work: Work, published: Mapping[Topic, int]
) -> Iterator[tuple[Receive, Arrivals]]:
    """Read what readers wait for. Where it is much, they read it themselves while the next
    transaction runs. Those who wait have read all that there was, so only partitions of this
    transaction have more.
    """
    for topic in [topic for topic, events in published.items() if 0 < events <= LITTLE]:
        changed = session.notification.events[topic]
        for receive in work.awaited(topic):
            if asked := {
                partition: offset
                for partition, offset in receive.offsets.items()
                if partition in changed
            }:
                yield receive, arrivals.read(session, topic, asked, receive.limit)


def _call(call: Call[T], session: Session) -> Answer[T]:
    try:
        return Answered(call(session))
    except WorkflowError as error:
        return Refused(error)


class Publishing:
    """What the transaction does to outbox and stream. If a publisher waits, new entries skip the
    outbox: to add and remove them took a third of a transition's time. Entries that wait in the
    outbox go first, so commit order holds.
    """

    def __init__(self, session: Session, done: Done) -> None:
        self._session = session
        self._done = done
        self._at_once: list[Values] = []
        self.added = False  # there is something to publish at once
        self.published: Counter[Topic] = Counter()

    def add(self, entries: Sequence[Values]) -> None:
        """Add the transaction's entries: delayed events and timeouts go into the outbox, the others
        wait for a move.
        """
        later = [entry for entry in entries if entry["due_at"] != AT_ONCE]
        self._at_once = [entry for entry in entries if entry["due_at"] == AT_ONCE]
        self.added = bool(self._at_once)
        outbox.add(self._session, later)

    def move(self, move: Move, epochs: Mapping[RoleName, int]) -> MoveAnswer:
        try:
            roles.check(move.fence, epochs)
        except WorkflowError as error:
            return Refused(error)
        waited = outbox.move(self._session, move.limit)
        topics = list(waited)
        if self._at_once and len(topics) < move.limit:
            stream.place(self._session, self._at_once)
            topics += [entry["topic"] for entry in self._at_once]
            self._at_once = []
        self.published.update(topics)
        self._done.drained = len(topics) < move.limit
        self._done.undone |= not self._done.drained
        if waited or not topics:
            self._done.next_due = outbox.next_due(self._session)
        return Answered(len(topics))

    def leave_the_rest(self) -> None:
        """Put what no move has published into the outbox."""
        outbox.add(self._session, self._at_once)
        self._done.drained &= not self._at_once
