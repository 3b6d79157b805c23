"""The store's methods as they travel: one table, from which both sides encode and decode."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec

from workflow_ray import errors
from workflow_ray.errors import StoreError, StoreUnavailable, WorkflowError, WriteRejected
from workflow_ray.ports import OutboxMover, Store, Trimmer
from workflow_ray.records import (
    Arrivals,
    Deployment,
    Fence,
    GroupResult,
    HistoryEntry,
    OutboxEntry,
    Position,
    Record,
    RunCount,
    Shared,
    Timeout,
    Waiting,
)
from workflow_ray.runtime.ipc.calls import (
    AcquireCall,
    Call,
    CompleteCall,
    CountsCall,
    CreateCall,
    DeployCall,
    DeploymentCall,
    DueCall,
    EndsCall,
    HistoryCall,
    LagCall,
    LatestCall,
    LeaveCall,
    LookupCall,
    MoveCall,
    PendingCall,
    PositionsCall,
    PrepareCall,
    PublishedCall,
    ReceiveCall,
    ReleaseCall,
    RunsCall,
    SendCall,
    ShareCall,
    StoreCall,
    TrimCall,
    TrimTimeoutsCall,
    WaitingCall,
    WatchCall,
)

_log = logging.getLogger(__name__)
_encode = msgspec.msgpack.Encoder().encode

# --- answers


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a store without looking into it."""

    store_id: str
    stream_id: str
    moves: bool  # an OutboxMover
    trims: bool = False  # a Trimmer


class Raised(msgspec.Struct, frozen=True):
    """An error of the store: the name of its class in workflow_ray.errors, and its fields."""

    error: str
    fields: tuple[Any, ...]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    value: msgspec.Raw = msgspec.Raw()
    raised: Raised | None = None


_ERRORS = {kind.__name__: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, WorkflowError)}
_encode_refusal = msgspec.msgpack.Encoder(enc_hook=str).encode  # whatever an error holds: it must not be lost for its fields
_decode_answer = msgspec.msgpack.Decoder(Answer).decode


def refusal(error: WorkflowError) -> bytes:
    """The answer that raises `error` at the caller."""
    return _encode_refusal(Answer(raised=Raised(type(error).__name__, error.args)))


def _revived(raised: Raised) -> WorkflowError:
    try:
        return _ERRORS[raised.error](*raised.fields)
    except (KeyError, TypeError):  # the other side runs newer code
        return WorkflowError(f"{raised.error}: {', '.join(map(str, raised.fields))}")


# --- the table

C = TypeVar("C", bound=Call)
R = TypeVar("R")


class Method(Generic[C, R]):
    """One method of the store: what it takes, what it answers, and how it is called."""

    def __init__(self, name: str, takes: type[C], answers: type[R], call: Callable[[Store, C], Awaitable[R]]) -> None:
        self.name = name
        self.waits = "wait" in takes.__struct_fields__  # a long poll: nothing is lost when it is cut short
        self._call = call
        self._decode_call = msgspec.msgpack.Decoder(takes).decode
        self._decode_value = msgspec.msgpack.Decoder(answers).decode

    def request(self, call: C) -> bytes:
        """Raises WriteRejected: a text in it can't be encoded, and so not be stored either."""
        try:
            return _encode(call)
        except UnicodeEncodeError as error:
            raise WriteRejected(f"{self.name} is asked with text that isn't Unicode: {error}") from error

    async def perform(self, store: Store, body: bytes) -> bytes:
        return _encode(Answer(value=msgspec.Raw(_encode(await self._call(store, self._decode_call(body))))))

    def result(self, body: bytes) -> R:
        """What the method returned; what it raised is raised here."""
        answer = _decode_answer(body)
        if answer.raised is not None:
            raise _revived(answer.raised)
        return self._decode_value(answer.value)


async def _about(store: Store) -> About:
    return About(store_id=store.store_id, stream_id=store.stream_id, moves=isinstance(store, OutboxMover), trims=isinstance(store, Trimmer))


async def _move(store: Store, call: MoveCall) -> int:
    if not isinstance(store, OutboxMover):
        raise StoreError("the store", "its events are elsewhere: a publisher has to send them")
    return await store.move(call.fence, limit=call.limit, wait=call.wait)


async def _trim(store: Store, call: TrimCall) -> int:
    if not isinstance(store, Trimmer):
        raise StoreError("the store", "its events are elsewhere, and are trimmed there")
    return await store.trim(call.fence, call.topic, call.offsets, limit=call.limit)


ABOUT = Method("about", Call, About, lambda store, _: _about(store))
STORE = Method("store", StoreCall, list[GroupResult], lambda store, call: store.store(call.groups))
LOOKUP = Method("lookup", LookupCall, list[Record | None], lambda store, call: store.lookup(call.run_ids, fresh=call.fresh))
LATEST = Method("latest", LatestCall, list[Record | None], lambda store, call: store.latest(call.workflow, call.foreign_ids))
RUNS = Method("runs", RunsCall, list[Record], lambda store, call: store.runs(call.query))
COUNTS = Method("counts", CountsCall, list[RunCount], lambda store, call: store.counts(call.workflow))
HISTORY = Method(
    "history", HistoryCall, list[HistoryEntry], lambda store, call: store.history(call.run_id, after=call.after, limit=call.limit)
)
WATCH = Method("watch", WatchCall, list[Record], lambda store, call: store.watch(call.seen, wait=call.wait, at_rest=call.at_rest))
POSITIONS = Method("positions", PositionsCall, list[Position], lambda store, call: store.positions(call.group))
PENDING = Method(
    "pending",
    PendingCall,
    list[OutboxEntry],
    lambda store, call: store.pending(call.fence, limit=call.limit, wait=call.wait, without=call.without, timeouts_only=call.timeouts_only),
)
PUBLISHED = Method("published", PublishedCall, type(None), lambda store, call: store.published(call.fence, call.ids))
WAITING = Method("waiting", WaitingCall, Waiting, lambda store, call: store.waiting(call.query))
DEPLOYMENT = Method(
    "deployment", DeploymentCall, Deployment, lambda store, call: store.deployment(newer_than=call.newer_than, wait=call.wait)
)
DEPLOY = Method("deploy", DeployCall, Deployment, lambda store, call: store.deploy(call.expected, call.workflows))
ACQUIRE = Method("acquire", AcquireCall, Fence, lambda store, call: store.acquire(call.role))
RELEASE = Method("release", ReleaseCall, type(None), lambda store, call: store.release(call.fence))
SHARE = Method("share", ShareCall, Shared, lambda store, call: store.share(call.worker, call.roles, call.held, lease=call.lease))
LEAVE = Method("leave", LeaveCall, type(None), lambda store, call: store.leave(call.worker))
PREPARE = Method("prepare", PrepareCall, type(None), lambda store, call: store.prepare(call.topics))
SEND = Method("send", SendCall, type(None), lambda store, call: store.send(call.events))
RECEIVE = Method(
    "receive",
    ReceiveCall,
    Arrivals,
    lambda store, call: store.receive(call.topic, call.offsets, reader=call.reader, limit=call.limit, wait=call.wait),
)
LAG = Method("lag", LagCall, int, lambda store, call: store.lag(call.topic, call.offsets))
ENDS = Method("ends", EndsCall, dict[int, int], lambda store, call: store.ends(call.topic, call.partitions))
MOVE = Method("move", MoveCall, int, _move)
CREATE = Method("create", CreateCall, type(None), lambda store, call: store.create(call.timeouts))
DUE = Method(
    "due",
    DueCall,
    list[Timeout],
    lambda store, call: store.due(call.workflow, call.status, call.partitions, limit=call.limit, wait=call.wait, after=call.after),
)
COMPLETE = Method("complete", CompleteCall, type(None), lambda store, call: store.complete(call.keys))
TRIM = Method("trim", TrimCall, int, _trim)
TRIM_TIMEOUTS = Method(
    "trim_timeouts", TrimTimeoutsCall, int, lambda store, call: store.trim_timeouts(completed=call.completed, limit=call.limit)
)

_ALL: tuple[Method[Any, Any], ...] = (
    *(ABOUT, STORE, LOOKUP, LATEST, RUNS, COUNTS, HISTORY, WATCH, POSITIONS, PENDING, PUBLISHED, WAITING, DEPLOYMENT, DEPLOY),
    *(ACQUIRE, RELEASE, SHARE, LEAVE, PREPARE, SEND, RECEIVE, LAG, ENDS, MOVE, CREATE, DUE, COMPLETE, TRIM, TRIM_TIMEOUTS),
)
METHODS = {method.name: method for method in _ALL}


async def answer(store: Store, method: str, body: bytes) -> bytes:
    """Do what a request asks and encode the outcome, errors included. Raises nothing but CancelledError."""
    try:
        if method not in METHODS:
            raise StoreError("the store", f"doesn't know {method!r}: it runs older code than its caller. Upgrade the deployment")
        return await METHODS[method].perform(store, body)
    except Exception as error:
        if isinstance(error, WorkflowError) and type(error).__name__ in _ERRORS:
            return refusal(error)
        _log.exception("the store failed in %s", method, extra={"method": method})
        return refusal(StoreUnavailable("the store", f"{method} failed there ({type(error).__name__}); its log says more"))
