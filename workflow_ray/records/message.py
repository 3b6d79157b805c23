"""Messages to runs: callbacks, timeouts that are due, and the ends of children."""

from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum
from typing import NewType, TypeAlias

import msgspec
from msgspec.structs import replace

from workflow_ray.records.ids import RunId, Version
from workflow_ray.records.run_state import RunState

MessageId = NewType("MessageId", str)
"""Chosen by the sender. It is unique among a workflow's messages of one kind, for good."""


class MessageKind(IntEnum):
    """Who sends a message. The numbers are stored: never change one."""

    CALLBACK = 1
    TIMEOUT = 2
    """A timeout of the run's visit is due."""
    CHILD = 3
    """One child has ended."""
    CHILDREN = 4
    """The last open child of a workflow has ended."""


class MessageOutcome(IntEnum):
    """How a message was settled. The numbers are stored: never change one."""

    TAKEN = 1
    """The function ran, and its result made the version `version` of the run."""
    FAILED = 2
    """The function failed for good. The run stays where it is."""
    PASSED = 3
    """The run moved on, or ended, by another transition, which made the version `version`."""
    EXPIRED = 4
    """The run did not come to a status that accepts the message in time."""


class MessageKey(msgspec.Struct, frozen=True, gc=False, order=True):
    """Names a message for good."""

    workflow: str  # of the run
    kind: MessageKind
    id: MessageId


class NewMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message to post. Exactly one of `run_id` and `foreign_id` is given."""

    key: MessageKey
    run_id: RunId | None = None
    # the unfinished run of this foreign id, or else its newest run
    foreign_id: str | None = None
    name: str  # of the function, or of the child's workflow
    statuses: tuple[int, ...]  # that accept it
    # other statuses at which it is kept until the run comes to one that accepts it; None: all
    kept_at: tuple[int, ...] | None = ()
    keep: float | None = None  # seconds from the commit that it is kept there; None: no limit
    visit: Version | None = None  # the only visit that accepts it; None: any
    payload: bytes = b""
    digest: bytes | None = None  # of what the id is used for, stored with the message
    by: str

    def posted(self, run_id: RunId, now: datetime) -> "Message":
        """Return it as a message that waits for the run without limit, posted now."""
        return Message(
            key=self.key,
            run_id=run_id,
            name=self.name,
            statuses=self.statuses,
            kept_at=self.kept_at,
            visit=self.visit,
            payload=self.payload,
            digest=self.digest,
            by=self.by,
            posted_at=now,
        )


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it is stored. New fields have a default."""

    key: MessageKey
    run_id: RunId
    name: str
    statuses: tuple[int, ...]
    kept_at: tuple[int, ...] | None = ()
    # None: it waits without limit; also once the run was at a status that accepts it
    expires_at: datetime | None = None
    visit: Version | None = None
    payload: bytes = b""
    digest: bytes | None = None
    by: str
    posted_at: datetime  # UTC by the store's clock, like every time here
    attempt: int = 0  # failed attempts of its function
    due_at: datetime | None = None  # of the next attempt; None: now
    reason: str | None = None  # the error of the last failed attempt
    outcome: MessageOutcome | None = None  # None: it waits
    version: Version | None = None  # of the run when it was settled
    settled_at: datetime | None = None

    def has_expired(self, now: datetime) -> bool:
        """Whether it is not settled, and waits no longer."""
        return self.outcome is None and self.expires_at is not None and self.expires_at <= now

    def settled(self, outcome: MessageOutcome, version: Version | None, now: datetime) -> "Message":
        """Return it as settled. One that has expired was settled at that time."""
        at = self.expires_at if outcome is MessageOutcome.EXPIRED else now
        return replace(self, outcome=outcome, version=version, settled_at=at)


class MessageFailure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A failed attempt of a message's function. It makes no version of the run."""

    key: MessageKey
    run_id: RunId
    attempt: int  # failed attempts in all, this one included
    reason: str
    retry_in: float | None = None  # seconds from the commit; None: it has failed for good


class MessageQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Asks for messages by their keys, or for those of runs."""

    keys: tuple[MessageKey, ...] = ()
    run_ids: tuple[RunId, ...] = ()  # only those that wait, or with `failed` the failed ones
    failed: bool = False
    # only those whose next attempt is due, by the store's clock: without `due_at`, or with one that
    # is not later
    due: bool = False
    # False: the messages come without their payloads, so that none is left out because of its size
    payloads: bool = True
    limit: int = 1000


class Posted(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The message was stored, now or by an earlier call with the same key."""

    key: MessageKey
    run_id: RunId
    digest: bytes | None = None  # as the first call stored it
    is_new: bool = True  # False: an earlier call stored it


class NotAwaited(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The message was left out: the run's status does not accept it, nor is it kept there."""

    key: MessageKey
    run_id: RunId
    status: int
    run_state: RunState
    version: Version


class NoRun(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The message was left out: the run does not exist."""

    key: MessageKey


PostResult: TypeAlias = Posted | NotAwaited | NoRun


class OnceResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A side effect's result, stored under its name within a visit."""

    run_id: RunId
    visit: Version
    name: str
    result: bytes  # JSON


class VisitOver(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The result was left out: the run is in another visit, or is finished."""

    run_id: RunId
    visit: Version  # NO_VERSION: the run does not exist


class Kept(msgspec.Struct, frozen=True, tag=True, gc=False):
    """The result that is stored under the name: this one, or an earlier one of the visit."""

    run_id: RunId
    name: str
    result: bytes


OnceAnswer: TypeAlias = Kept | VisitOver


class Inbox(msgspec.Struct, frozen=True):
    """The messages of one run, sorted by what its status and visit make of them."""

    accepted: tuple[Message, ...] = ()
    kept: tuple[Message, ...] = ()  # until the run comes to another status
    settled: tuple[tuple[Message, MessageOutcome], ...] = ()  # they wait no longer


def sort_inbox(
    messages: Iterable[Message],
    *,
    status: int,
    visit: Version,
    run_state: RunState,
    now: datetime,
) -> Inbox:
    """Sort messages that wait, for a run that is at a status now.

    All stores decide by this function: when a message is posted, and when a write lands.
    """
    accepted: list[Message] = []
    kept: list[Message] = []
    settled: list[tuple[Message, MessageOutcome]] = []
    for message in messages:
        # first, because a read since then has answered this already
        if message.has_expired(now):
            settled.append((message, MessageOutcome.EXPIRED))
        elif run_state.finished or (message.visit is not None and message.visit != visit):
            settled.append((message, MessageOutcome.PASSED))
        elif status in message.statuses:
            accepted.append(message)
        elif message.kept_at is None or status in message.kept_at:
            kept.append(message)
        else:
            settled.append((message, MessageOutcome.PASSED))
    return Inbox(tuple(accepted), tuple(kept), tuple(settled))
