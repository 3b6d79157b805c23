"""What a store is asked and answers comes through IPC unchanged."""

import inspect
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, cast

import msgspec
import pytest

from tests.unit.runtime.ipc.serving import SERVED
from workflow_ray import errors
from workflow_ray.errors import RoleLost, StoreError, StoreUnavailable, WorkflowError
from workflow_ray.ports import OutboxMover, Store, SystemClock, Trimmer, WholeStore
from workflow_ray.ports.methods import properties_of
from workflow_ray.records import (
    NO_VERSION,
    ActiveRun,
    Activity,
    Arrivals,
    Cause,
    Committed,
    Conflict,
    DeployedWorkflow,
    Deployment,
    Event,
    Fence,
    Fenced,
    HistoryEntry,
    KeyUsed,
    NewRun,
    OutboxEntry,
    OutgoingEvent,
    Position,
    Received,
    Record,
    Role,
    RoleHolder,
    RoleName,
    RunCount,
    RunId,
    RunQuery,
    RunState,
    Shared,
    Stored,
    Timeout,
    TimeoutKey,
    Topic,
    Version,
    Waiting,
    WaitingQuery,
    Write,
    WriteGroup,
    WriteId,
)
from workflow_ray.runtime.ipc import About, answer, records_over, remote_store, store_over
from workflow_ray.runtime.ipc.methods import METHODS
from workflow_ray.runtime.mixed import keeps_timeouts_apart, mixed
from workflow_ray_adapters.memory import MemoryStore

NOW = datetime(2026, 11, 23, 9, 30, 0, 123456, tzinfo=UTC)
RUN, OTHER, TOPIC = RunId("0190-run"), RunId("0190-other"), Topic("orders-1")
FENCE = Fence(RoleName("orders-1-consumer-2-of-4"), 7)
POSITION = Position(
    "orders-1-consumer", 5, 9, begun=40, trying=(9, 11), log="kafka", incarnation=2, in_use=FENCE
)
RECORD = Record(
    run_id=RUN,
    workflow="orders",
    foreign_id="order-ü",
    status=1,
    run_state=RunState.RUNNING,
    version=Version(3),
    visit=Version(2),
    attempt=1,
    cause=Cause.RETRY,
    reason="boom",
    partition=5,
    data=b'{"total":40}',
    created_at=NOW,
    updated_at=NOW,
)
EVENT = Event(
    run_id=RUN,
    topic=TOPIC,
    partition=5,
    version=Version(3),
    status=1,
    headers={"traceparent": "00-1"},
)
WRITE = Write(
    run_id=RUN,
    write_id=WriteId("w1"),
    expected=NO_VERSION,
    status=1,
    run_state=RunState.INITIATED,
    visit=Version(1),
    cause=Cause.TRIGGER,
    by="client",
    data=b"{}",
    new=NewRun(
        workflow="orders",
        foreign_id="order-1",
        partition=5,
        idempotency_key="line-1",
        digest=b"\xff" * 16,
    ),
    events=(OutgoingEvent(topic=TOPIC, partition=5, delay=1.5),),
)
ENTRY = HistoryEntry(
    run_id=RUN,
    version=Version(1),
    status=1,
    run_state=RunState.INITIATED,
    cause=Cause.TRIGGER,
    by="client",
    at=NOW,
    write_id=WriteId("w1"),
)
ORDERS = DeployedWorkflow(
    name="orders",
    reference="shop:orders",
    python_path=("/app",),
    statuses={"CREATED": 1},
    partitions=16,
    groups={"orders-1-consumer": 4},
)
EVERYTHING = RunQuery(
    workflow="orders",
    statuses=(1, 2),
    run_states=(RunState.PAUSED,),
    created_from=NOW,
    newest_first=True,
    after=RUN,
)
KEY = TimeoutKey(RUN, Version(2), "expiry")
TIMEOUT = Timeout(key=KEY, workflow="orders", status=1, partition=5, due_at=NOW)
ROLE = Role("orders-1-consumer", 2, 4)
RESULTS = (
    Stored(RUN, Version(1)),
    Conflict(RUN, Version(4)),
    KeyUsed(RUN, OTHER, b"\xff" * 16),
    ActiveRun(RUN, OTHER),
)

PORTS: tuple[type, ...] = (Store, WholeStore, Trimmer)

# positional and named arguments, answer
CASES: dict[str, tuple[Sequence[Any], dict[str, Any], Any]] = {
    "store": (
        [(WriteGroup(writes=(WRITE,), positions=(POSITION,), fence=FENCE, events=(EVENT,)),)],
        {},
        [Committed(RESULTS), Fenced(FENCE.role, 8)],
    ),
    "lookup": ([(RUN, OTHER)], {"fresh": True}, [RECORD, None]),
    "latest": (["orders", ("order-1", "order-2")], {}, [None, RECORD]),
    "runs": ([EVERYTHING], {}, [RECORD]),
    "counts": (["orders"], {}, [RunCount(1, RunState.PAUSED, 3)]),
    "history": ([RUN], {"after": Version(0), "limit": 10}, [ENTRY]),
    "watch": ([{RUN: Version(2), OTHER: NO_VERSION}], {"wait": 0.25, "at_rest": True}, [RECORD]),
    "positions": (["orders-1-consumer"], {}, [POSITION]),
    "pending": (
        [FENCE],
        {"limit": 10, "wait": 0.5, "without": ((TOPIC, 5),), "timeouts_only": True},
        [OutboxEntry(id=2**40, event=EVENT, due_at=NOW), OutboxEntry(id=1, timeout=TIMEOUT)],
    ),
    "published": ([FENCE, (1, 2**40)], {}, None),
    "waiting": (
        [WaitingQuery(workflow="orders", partition=5, quiet=300.0, after=RUN, limit=10)],
        {},
        Waiting(events=(EVENT,), after=OTHER),
    ),
    "activity": (
        [],
        {"limit": 10},
        Activity(
            now=NOW,
            holders=(RoleHolder(role=FENCE.role, epoch=7, worker="host-1", until=NOW),),
            delayed=(OutboxEntry(id=2**40, event=EVENT, due_at=NOW),),
        ),
    ),
    "deployment": (
        [],
        {"newer_than": 1, "wait": 0.5},
        Deployment(store_id="s", version=2, workflows=(ORDERS,)),
    ),
    "deploy": ([2, (ORDERS,)], {}, Deployment(store_id="s", version=3)),
    "acquire": ([ROLE], {}, FENCE),
    "release": ([FENCE], {}, None),
    "share": (
        ["host-1", (ROLE,), (FENCE,)],
        {"lease": 10.0},
        Shared(acquired=(FENCE,), lost=(FENCE.role,), surplus=(FENCE.role,)),
    ),
    "leave": (["host-1"], {}, None),
    "prepare": ([{TOPIC: 16}], {}, None),
    "send": ([(EVENT,)], {}, None),
    "receive": (
        [TOPIC, {5: 9, 6: 0}],
        {"reader": ROLE.name, "limit": 500, "wait": 1.0},
        Arrivals(
            events=(Received(event=EVENT, offset=9, record=RECORD),),
            read={5: 10, 6: 3},
            lost={7: 2},
        ),
    ),
    "lag": ([TOPIC, {5: 9}], {}, 12),
    "ends": ([TOPIC, (5, 6)], {}, {5: 9, 6: 0}),
    "create": ([(TIMEOUT,)], {}, None),
    "due": (["orders", 1, (5, 6)], {"limit": 10, "wait": 0.5, "after": TIMEOUT}, [TIMEOUT]),
    "complete": ([(KEY,)], {}, None),
    "move": ([FENCE], {"limit": 500, "wait": 1.0}, 499),
    "trim": ([FENCE, TOPIC, {5: 9}], {"limit": 500}, 7),
    "trim_timeouts": ([], {"completed": 60.0, "limit": 500}, 3),
}


def method_of(name: str) -> Any:
    """The method as its port has it."""
    return next(vars(kind)[name] for port in PORTS for kind in port.__mro__ if name in vars(kind))


def as_decoded(argument: object) -> object:
    """The argument as the other end has it: any sequence is a list there."""
    return list(cast(Sequence[object], argument)) if isinstance(argument, tuple) else argument


class RecordingStore:
    """Answers, or raises, what it is given, and keeps what it was asked."""

    def __init__(self, outcome: object) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._outcome = outcome

    def __getattr__(self, name: str) -> Any:
        async def method(*args: Any, **named: Any) -> Any:
            bound = inspect.signature(method_of(name)).bind(self, *args, **named)
            bound.apply_defaults()
            self.asked.append(
                (
                    name,
                    {
                        key: as_decoded(value)
                        for key, value in bound.arguments.items()
                        if key != "self"
                    },
                )
            )
            if isinstance(self._outcome, Exception):
                raise self._outcome
            return self._outcome

        return method


class Loopback:
    """The other side without a socket."""

    def __init__(self, store: object) -> None:
        self._store = cast(Store, store)
        self.deadline = 0.0

    async def call(self, method: str, body: bytes, *, deadline: float) -> bytes:
        self.deadline = deadline
        return await answer(self._store, method, body)


def test_every_method_of_the_store_is_served_and_tried_here() -> None:
    methods = {name for port in PORTS for name in dir(port) if not name.startswith("_")}
    assert set(METHODS) == set(CASES) == methods - {"store_id", "stream_id"}


@pytest.mark.parametrize("name", CASES)
async def test_a_call_over_ipc_is_the_call_itself(name: str) -> None:
    args, named, expected = CASES[name]
    store = RecordingStore(expected)
    direct = await getattr(store, name)(*args, **named)
    remote = await getattr(store_over(Loopback(store), SERVED), name)(*args, **named)
    assert remote == direct
    assert store.asked[0] == store.asked[1]


@pytest.mark.parametrize("name", [name for name, (_, named, _) in CASES.items() if "wait" in named])
async def test_a_long_poll_has_the_time_that_it_waits_on_top_of_the_patience(name: str) -> None:
    args, named, expected = CASES[name]
    transport = Loopback(RecordingStore(expected))
    await getattr(store_over(transport, SERVED, patience=10.0), name)(*args, **named)
    assert transport.deadline == named["wait"] + 10.0


class Still:
    """A store that moves nothing."""

    store_id, stream_id = "s", "kafka"


async def test_a_store_says_itself_what_kind_it_is() -> None:
    moving = await remote_store(Loopback(MemoryStore(SystemClock())))
    still = await remote_store(Loopback(Still()))
    assert (isinstance(moving, OutboxMover), isinstance(still, OutboxMover)) == (True, False)
    assert (still.store_id, still.stream_id) == ("s", "kafka")


async def test_a_store_whose_events_are_elsewhere_moves_none() -> None:
    store = store_over(Loopback(Still()), SERVED)
    assert isinstance(store, OutboxMover)
    with pytest.raises(StoreError, match="its events are elsewhere"):
        await store.move(FENCE, limit=1, wait=0)


async def test_a_streamer_that_keeps_its_log_is_trimmed_through_ipc_also_where_no_event_moves() -> (
    None
):
    records, events = MemoryStore(SystemClock()), MemoryStore(SystemClock())
    store = await remote_store(Loopback(mixed(records, events, None)))
    assert isinstance(store, Trimmer)
    assert not isinstance(store, OutboxMover)
    assert await store.trim(FENCE, TOPIC, {5: 9}, limit=500) == 0


async def test_that_timeouts_are_in_another_store_is_known_through_ipc() -> None:
    records, timeouts = MemoryStore(SystemClock()), MemoryStore(SystemClock())
    assert keeps_timeouts_apart(await remote_store(Loopback(mixed(records, None, timeouts))))
    assert not keeps_timeouts_apart(await remote_store(Loopback(records)))


def test_what_is_known_of_a_store_has_every_property_of_its_ports() -> None:
    assert set(properties_of(*PORTS)) <= set(About.__struct_fields__)


async def test_records_are_asked_without_a_question_before_the_first_call() -> None:
    deployment = Deployment(store_id="s", version=2)
    transport = Loopback(RecordingStore(deployment))
    assert await records_over(transport, patience=5.0).deployment() == deployment
    assert transport.deadline == 5.0


async def test_a_collection_of_any_type_is_carried() -> None:
    store = RecordingStore({})
    remote = store_over(Loopback(store), SERVED)
    await remote.ends(TOPIC, {5: "a", 6: "b"}.keys())
    await remote.ends(TOPIC, frozenset([7]))
    assert [arguments["partitions"] for _, arguments in store.asked] == [[5, 6], [7]]
    lagging = RecordingStore(3)
    assert await store_over(Loopback(lagging), SERVED).lag(TOPIC, MappingProxyType({5: 9})) == 3
    assert lagging.asked == [("lag", {"topic": TOPIC, "offsets": {5: 9}})]


async def test_arguments_that_the_port_does_not_take_are_refused_at_the_call() -> None:
    remote: Any = store_over(Loopback(RecordingStore(None)), SERVED)
    with pytest.raises(TypeError, match="required argument 'offsets'"):
        await remote.lag(TOPIC)
    with pytest.raises(TypeError, match="positional"):
        await remote.lag(TOPIC, {}, 1)
    with pytest.raises(TypeError, match="limit"):
        await remote.lag(TOPIC, {}, limit=1)
    with pytest.raises(TypeError, match="positional"):
        await remote.move(FENCE, 1, 0.0)  # limit and wait are named


def test_what_travels_is_maps_by_the_names_of_parameters() -> None:
    """Code of other releases reads this: a change here needs a new method."""
    receive = METHODS["receive"]
    request = receive.request(receive.arguments(TOPIC, {5: 9}, reader="r", limit=10, wait=0.5))
    assert msgspec.msgpack.decode(request) == {
        "topic": "orders-1",
        "offsets": {5: 9},
        "reader": "r",
        "limit": 10,
        "wait": 0.5,
    }
    assert receive.result(msgspec.msgpack.encode({"value": Arrivals(events=())})) == Arrivals(
        events=()
    )
    assert METHODS["leave"].result(msgspec.msgpack.encode({"value": None})) is None
    with pytest.raises(RoleLost):
        receive.result(
            msgspec.msgpack.encode({"raised": {"error": "RoleLost", "fields": ["role", 7, 8]}})
        )


def sample(kind: type[WorkflowError]) -> WorkflowError:
    values: dict[object, object] = {
        str: "x",
        int: 3,
        float: 0.5,
        Sequence[str]: ["a", "b"],
        Sequence[tuple[str, int]]: [("a", 1)],
    }
    # None for the others
    return kind(
        *(values.get(each.annotation) for each in inspect.signature(kind).parameters.values())
    )


KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, WorkflowError) and kind is not WorkflowError
]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_of_the_store_arrives_as_itself(kind: type[WorkflowError]) -> None:
    raised = sample(kind)
    with pytest.raises(kind) as caught:
        await store_over(Loopback(RecordingStore(raised)), SERVED).deployment()
    assert type(caught.value) is kind
    assert vars(caught.value) == vars(raised)
    assert str(caught.value) == str(raised)


async def test_any_other_exception_is_an_unknown_outcome_and_in_the_servers_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(StoreUnavailable, match="deployment failed there \\(ZeroDivisionError\\)"),
    ):
        await store_over(Loopback(RecordingStore(ZeroDivisionError("secret"))), SERVED).deployment()
    assert [record.exc_info is not None for record in caplog.records] == [True]
