"""Everybody in this process who waits for something, and what wakes them: commits of this process
and of others, and time.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from workflow_ray.ports import Clock
from workflow_ray.records import Fence, MessageKey, RunId, Topic
from workflow_ray_adapters.sql.counters import OfStatus
from workflow_ray_adapters.sql.message_rows import to_key
from workflow_ray_adapters.sql.moves import Moves
from workflow_ray_adapters.sql.notifications import ALL, Kind, Notification
from workflow_ray_adapters.sql.readers import Readers
from workflow_ray_adapters.sql.rows import AT_ONCE
from workflow_ray_adapters.sql.timer import Timer
from workflow_ray_adapters.sql.transaction import Done
from workflow_ray_adapters.sql.waiters import KnownVersions, Waiters, Watchers

OUTBOX: OfStatus = ("", 0)
"""The timer's key for entries of the outbox."""
Timed: TypeAlias = OfStatus | str | MessageKey
"""What is due by time: a status's timeouts, or OUTBOX; the entries that a group has set aside; a
message that expires.
"""
OfMessage: TypeAlias = tuple[str, MessageKey | RunId]
"""What somebody waits for: a message, or one of a run, that was POSTED or SETTLED."""
SeenFlow: TypeAlias = tuple[str, int, int]
"""A workflow, one of its statuses, and the number of changes at it that somebody has seen."""
POSTED = "posted"
SETTLED = "settled"


@dataclass(frozen=True)
class Wanted:
    """All that somebody waits for, of some kinds."""

    runs: Collection[RunId] = ()
    topics: Collection[Topic] = ()
    outbox: bool = False
    timeouts: Collection[OfStatus] = ()
    fences: Collection[Fence] = ()
    deployment: int | None = None  # the newest version that somebody who waits has seen
    messages: Collection[MessageKey] = ()
    inboxes: Collection[RunId] = ()  # of runs
    set_aside: Collection[str] = ()  # groups
    # statuses under flow control, each with the number of changes that somebody has seen
    flow: Collection[SeenFlow] = ()

    def __bool__(self) -> bool:
        return bool(
            self.runs
            or self.topics
            or self.outbox
            or self.timeouts
            or self.fences
            or self.deployment is not None
            or self.messages
            or self.inboxes
            or self.set_aside
            or self.flow
        )


class Wakeups:
    """Those who wait: `watchers` for runs, `readers` for events, `publishers` for entries of the
    outbox under their fences, others for the timeouts of a status, or for a deployment above the
    version that they have seen.
    """

    def __init__(self, clock: Clock, moves: Moves) -> None:
        self.watchers = Watchers()
        self.readers = Readers()
        self.publishers = Waiters[Fence]()
        self.timeouts = Waiters[OfStatus]()
        self.deployments = Waiters[int]()
        self.messages = Waiters[OfMessage]()
        self.set_asides = Waiters[str]()
        self.flow = Waiters[SeenFlow]()
        self.versions = KnownVersions()
        self.timer = Timer[Timed](clock, self._get_due)
        self._moves = moves

    def committed(self, done: Done) -> None:
        """Wake those whom a commit of this process concerns."""
        self.readers.published(done.notification.events, done.received)
        self._spread(done.notification)
        if done.time is not None:
            self.timer.note(done.time)
        if done.next_due is not None:
            self.timer.set(OUTBOX, done.next_due)

    def found(self, notification: Notification, ends: Mapping[tuple[Topic, int], int]) -> bool:
        """Wake those whom the result of a poll concerns. Return whether there are any."""
        woken = [self.readers.compare(ends), self.notified(notification)]
        return any(woken)

    def notified(self, notification: Notification) -> bool:
        """Wake those whom a commit of another process concerns. Return whether there are any."""
        woken = [self.readers.wake(notification.events), self._spread(notification)]
        if AT_ONCE in notification.due:
            woken.append(self._moves.wake())
        woken.append(self._moves.wake_those_of(notification.roles))
        return any(woken)

    def is_anybody_waiting(self) -> bool:
        keys = (
            self.watchers.runs(),
            self.publishers.keys(),
            self.timeouts.keys(),
            self.deployments.keys(),
            self._moves.fences(),
            self.messages.keys(),
            self.set_asides.keys(),
            self.flow.keys(),
        )
        return any(keys) or self.readers.is_anybody_waiting()

    def wanted(self, kinds: Kind) -> Wanted:
        """Return what somebody waits for, of these kinds."""
        asked = {key for _, key in list(self.messages.keys())} if kinds & Kind.MESSAGES else ()
        return Wanted(
            runs=list(self.watchers.runs()) if kinds & Kind.RUNS else (),
            topics=self.readers.topics() if kinds & Kind.EVENTS else (),
            outbox=bool(kinds & Kind.OUTBOX and (self.publishers.keys() or self._moves.fences())),
            timeouts=list(self.timeouts.keys()) if kinds & Kind.TIMEOUTS else (),
            fences={*self.publishers.keys(), *self._moves.fences()} if kinds & Kind.ROLES else (),
            deployment=max(self.deployments.keys(), default=None)
            if kinds & Kind.DEPLOYMENT
            else None,
            messages=[key for key in asked if isinstance(key, MessageKey)],
            inboxes=[key for key in asked if not isinstance(key, MessageKey)],
            set_aside=list(self.set_asides.keys()) if kinds & Kind.SET_ASIDE else (),
            flow=list(self.flow.keys()) if kinds & Kind.FLOW else (),
        )

    def forget(self) -> None:
        """Forget what is known, because anything may have changed and nobody can look: who does not
        wait now looks before it waits.
        """
        self.forget_before_look(ALL)
        self.readers.forget()

    def forget_before_look(self, kinds: Kind) -> None:
        """Forget what is known of these kinds, because a poll is about to be made for those who
        wait. Who comes meanwhile looks before it waits, except readers: the poll is for all of
        them.
        """
        if kinds & Kind.RUNS:
            self.versions.forget()
        if kinds & Kind.OUTBOX:
            self._moves.forget()

    def _spread(self, notification: Notification) -> bool:
        self.versions.note(notification.runs.items())
        woken = [self.watchers.wake(notification.runs, notification.at_rest)]
        for due in notification.due - {AT_ONCE}:
            self.timer.set(OUTBOX, due)
        for workflow, status, due in notification.timeouts:
            self.timer.set((workflow, status), due)
        for fence in list(self.publishers.keys()):
            if AT_ONCE in notification.due or fence.role in notification.roles:
                woken.append(self.publishers.wake(fence))
        if (notification.posted or notification.settled) and self.messages.keys():
            woken += self._wake_messages(notification)
        for group, due in notification.set_aside:
            self.timer.set(group, due)
        if notification.flow:
            woken += self._wake_flow(notification)
        if notification.deployment:
            woken += [self.deployments.wake(seen) for seen in list(self.deployments.keys())]
        return any(woken)

    def _wake_messages(self, notification: Notification) -> Iterator[bool]:
        for kind, messages in ((POSTED, notification.posted), (SETTLED, notification.settled)):
            for workflow, number, message_id, run_id in messages:
                yield self.messages.wake((kind, to_key(workflow, number, message_id)))
                yield self.messages.wake((kind, run_id))

    def _wake_flow(self, notification: Notification) -> Iterator[bool]:
        for seen in list(self.flow.keys()):
            workflow, status, _ = seen
            if (workflow, status) in notification.flow:
                yield self.flow.wake(seen)

    def _get_due(self, what: Timed) -> None:
        if what == OUTBOX:
            for fence in list(self.publishers.keys()):
                self.publishers.wake(fence)
            self._moves.wake()
        elif isinstance(what, MessageKey):
            for kind in (POSTED, SETTLED):
                self.messages.wake((kind, what))
        elif isinstance(what, str):
            self.set_asides.wake(what)
        else:
            self.timeouts.wake(what)
