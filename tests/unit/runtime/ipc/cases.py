"""A call and an answer for each method that is served, and one error of each class."""

import inspect
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from workflow_ray import errors
from workflow_ray.errors import WorkflowError
from workflow_ray.records import (
    NO_VERSION,
    ActiveRun,
    Activity,
    Arrivals,
    Awaits,
    Cause,
    ChildRefused,
    Committed,
    Conflict,
    DeployedFlow,
    DeployedWorkflow,
    Deployment,
    ErrorDetail,
    Event,
    Fence,
    Fenced,
    FlowLimits,
    Gathering,
    HistoryEntry,
    Kept,
    KeyUsed,
    Link,
    Message,
    MessageFailure,
    MessageGone,
    MessageId,
    MessageKey,
    MessageKind,
    MessageOutcome,
    MessageQuery,
    NewChild,
    NewMessage,
    NewRun,
    NewSetAside,
    NewTimeout,
    NoRun,
    NotAwaited,
    OnceResult,
    OutboxEntry,
    OutgoingEvent,
    Parked,
    ParkedKey,
    ParkedQuery,
    ParkedRun,
    Parking,
    Position,
    Posted,
    Postponed,
    Rate,
    Received,
    Record,
    Removal,
    Role,
    RoleHolder,
    RoleName,
    RunCount,
    RunId,
    RunQuery,
    RunState,
    SetAside,
    SetAsideKey,
    SetAsideQuery,
    Shape,
    Shared,
    Stored,
    Timeout,
    TimeoutKey,
    Topic,
    Version,
    VisitOver,
    Waiting,
    WaitingQuery,
    Write,
    WriteGroup,
    WriteId,
)

NOW = datetime(2026, 11, 23, 9, 30, 0, 123456, tzinfo=UTC)
RUN, OTHER, TOPIC = RunId("0190-run"), RunId("0190-other"), Topic("orders-1")
FENCE = Fence(RoleName("orders-1-consumer-2-of-4"), 7)
POSITION = Position(
    "orders-1-consumer", 5, 9, begun=40, trying=(9, 11), log="kafka", incarnation=2, in_use=FENCE
)
PARKING = Parking(key="acme", priority=3)
ERROR = ErrorDetail(type="httpx.ConnectTimeout", message="boom", trace="line 1")
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
    idempotency_key="line-1",
    awaits=Awaits.MESSAGE,
    awaited=Version(2),
    messages=3,
    has_results=True,
    has_parents=True,
    cascades=True,
    labels={"tenant": "acme"},
    data_version=2,
    parking=PARKING,
    parked=True,
)
EVENT = Event(
    run_id=RUN,
    topic=TOPIC,
    partition=5,
    version=Version(3),
    status=1,
    headers={"traceparent": "00-1"},
)
MESSAGE = MessageKey("orders", MessageKind.CALLBACK, MessageId("paid-1"))
CHILD = NewChild(
    write=Write(
        run_id=OTHER,
        write_id=WriteId("w3"),
        expected=NO_VERSION,
        status=1,
        run_state=RunState.INITIATED,
        visit=Version(1),
        cause=Cause.TRIGGER,
        by="orders-1-consumer-2-of-4",
        data=b"{}",
        new=NewRun(workflow="invoices", foreign_id="invoice-1", partition=2),
        asks=True,
    ),
    link=Link(statuses=(2,), gathered_at=(3,), cascades=True),
    joins=True,
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
    events=(OutgoingEvent(topic=TOPIC, partition=5, delay=1.5, headers={"traceparent": "00-1"}),),
    timeouts=(
        NewTimeout(name="expiry", workflow="orders", partition=5, after=60.0),
        NewTimeout(name="reminder", workflow="orders", partition=5, at=NOW),
    ),
    asks=True,
    takes=(MESSAGE,),
    children=(CHILD,),
    gatherings=(Gathering(workflow="invoices", statuses=(3,)),),
)
FAILURE = Write(
    run_id=OTHER,
    write_id=WriteId("w2"),
    expected=Version(3),
    status=1,
    run_state=RunState.PAUSED,
    visit=Version(2),
    cause=Cause.FAILED,
    by="orders-1-consumer-2-of-4",
    attempt=5,
    reason="boom",
    awaits=Awaits.NOBODY,
    awaited=Version(2),
    error=ERROR,
    labels={"tenant": "acme"},
    data_version=2,
    parking=PARKING,
    parked=True,
    erases=True,
)
NEW_MESSAGE = NewMessage(
    key=MESSAGE,
    run_id=RUN,
    foreign_id="order-1",
    name="paid",
    statuses=(1, 2),
    kept_at=(3,),
    keep=60.0,
    visit=Version(2),
    payload=b'{"receipt":"r1"}',
    digest=b"\xff" * 16,
    by="client",
)
STORED_MESSAGE = Message(
    key=MESSAGE,
    run_id=RUN,
    name="paid",
    statuses=(1, 2),
    kept_at=None,
    expires_at=NOW,
    visit=Version(2),
    payload=b'{"receipt":"r1"}',
    digest=b"\xff" * 16,
    by="client",
    posted_at=NOW,
    attempt=1,
    due_at=NOW,
    reason="boom",
    outcome=MessageOutcome.FAILED,
    version=Version(3),
    settled_at=NOW,
)
RESULT = OnceResult(run_id=RUN, visit=Version(2), name="charge", result=b'"c1"')
POISON = SetAsideKey("orders-carts-connector", 5, 9, log="kafka", incarnation=2)
NEW_ENTRY = NewSetAside(
    key=POISON, event_id="carts:5:9", event=b"{}", attempt=1, error="boom", retry_in=1.5
)
SET_ASIDE = SetAside(
    key=POISON,
    event_id="carts:5:9",
    event=b"{}",
    attempt=1,
    error="boom",
    due_at=NOW,
    set_aside_at=NOW,
    changed_at=NOW,
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
    reason="boom",
    data=b"{}",
    data_version=2,
    error=ERROR,
)
LIMITS = FlowLimits(
    concurrency=10,
    concurrency_per_key=2,
    rate=Rate(count=5, seconds=1.5),
    rate_per_key=Rate(count=1, seconds=60.0),
)
SHAPE = Shape(
    data_version=2,
    model="m1",
    functions=(("charge", 1, (2, 3)),),
    flow={"CREATED": DeployedFlow(limits=LIMITS, keyed=True)},
    gone={"OLD": 4},
)
ORDERS = DeployedWorkflow(
    name="orders",
    reference="shop:orders",
    python_path=("/app",),
    statuses={"CREATED": 1},
    partitions=16,
    groups={"orders-1-consumer": 4},
    code="c2",
    superseded=("c1",),
    scaled={"orders-1-consumer": 8},
    draining=("orders-1-consumer",),
    paused=("restock",),
    limits={"CREATED": LIMITS},
    shape=SHAPE,
)
EVERYTHING = RunQuery(
    workflow="orders",
    statuses=(1, 2),
    run_states=(RunState.PAUSED,),
    foreign_id="order-1",
    created_before=NOW,
    causes=(Cause.FAILED,),
    updated_before=NOW,
    limit=20,
    created_from=NOW,
    newest_first=True,
    after=RUN,
    parent=OTHER,
    since=Version(2),
    cascading=True,
    child=OTHER,
    labels={"tenant": "acme"},
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
REFUSED = (ChildRefused(RUN, "invoice-1", OTHER), MessageGone(RUN, MESSAGE))
POSTS = (
    Posted(MESSAGE, RUN, b"\xff" * 16, is_new=False),
    NotAwaited(MESSAGE, RUN, 1, RunState.PAUSED, Version(3)),
    NoRun(MESSAGE),
)
ONCE = (Kept(RUN, "charge", b'"c1"'), VisitOver(RUN, Version(3)))


class Case(NamedTuple):
    arguments: Sequence[Any]
    named: Mapping[str, Any]
    answer: Any
    also: Any = None  # an answer of other types, where there is one


CASES = {
    "store": Case(
        [
            (
                WriteGroup(
                    writes=(WRITE, FAILURE),
                    positions=(POSITION,),
                    fence=FENCE,
                    events=(EVENT,),
                    postponed=(Postponed(event=EVENT, delay=2.5),),
                    timeouts_apart=True,
                    messages=(NEW_MESSAGE,),
                    failures=(
                        MessageFailure(
                            key=MESSAGE, run_id=RUN, attempt=1, reason="boom", retry_in=1.5
                        ),
                    ),
                    results=(RESULT,),
                    expires=("orders",),
                    set_aside=(NEW_ENTRY,),
                    taken_back=(POISON,),
                    removals=(
                        Removal(
                            workflow="orders",
                            runs=(RUN,),
                            histories=(OTHER,),
                            keys_below=RUN,
                            keys_after=RUN,
                        ),
                    ),
                ),
            )
        ],
        {},
        [Committed(RESULTS, POSTS, ONCE, (3,), (OTHER,)), Fenced(FENCE.role, 8)],
        [Committed(REFUSED)],
    ),
    "lookup": Case([(RUN, OTHER)], {"fresh": True}, [RECORD, None]),
    "latest": Case(["orders", ("order-1", "order-2")], {}, [None, RECORD]),
    "runs": Case([EVERYTHING], {}, [RECORD]),
    "counts": Case(["orders"], {}, [RunCount(1, RunState.PAUSED, 3)]),
    "history": Case([RUN], {"after": Version(1), "limit": 10}, [ENTRY]),
    "watch": Case(
        [{RUN: Version(2), OTHER: NO_VERSION}], {"wait": 0.25, "at_rest": True}, [RECORD]
    ),
    "messages": Case(
        [
            MessageQuery(
                keys=(MESSAGE,), run_ids=(RUN,), failed=True, due=True, payloads=False, limit=10
            )
        ],
        {"settled": True, "wait": 0.5},
        [STORED_MESSAGE],
    ),
    "results": Case([(RUN, OTHER)], {}, [RESULT]),
    "set_aside": Case(
        [
            SetAsideQuery(
                group=POISON.group,
                due=True,
                dead=True,
                event_id="carts:5:9",
                partitions=(5,),
                after=POISON,
                limit=10,
            )
        ],
        {"wait": 0.5},
        [SET_ASIDE],
    ),
    "positions": Case(["orders-1-consumer"], {}, [POSITION]),
    "pending": Case(
        [FENCE],
        {"limit": 10, "wait": 0.5, "without": ((TOPIC, 5),), "timeouts_only": True},
        [OutboxEntry(id=2**40, event=EVENT, due_at=NOW), OutboxEntry(id=1, timeout=TIMEOUT)],
    ),
    "published": Case([FENCE, (1, 2**40)], {}, None),
    "waiting": Case(
        [WaitingQuery(workflow="orders", partition=5, quiet=300.0, after=RUN, limit=10)],
        {},
        Waiting(events=(EVENT,), after=OTHER),
    ),
    "parked": Case(
        [ParkedQuery(workflow="orders", status=1, after="acme", keys=10, per_key=5, seen=3)],
        {"wait": 0.5},
        Parked(
            keys=(
                ParkedKey(key="tenant-1", admitted=2, parked=(ParkedRun(run_id=RUN, priority=3),)),
            ),
            admitted=3,
            more=True,
            change=4,
            now=NOW,
        ),
    ),
    "activity": Case(
        [],
        {"limit": 10, "steps": {RUN: Version(3)}},
        Activity(
            now=NOW,
            is_served=True,
            holders=(RoleHolder(role=FENCE.role, epoch=7, worker="host-1", until=NOW),),
            delayed=(OutboxEntry(id=2**40, event=EVENT, due_at=NOW),),
        ),
    ),
    "deployment": Case(
        [],
        {"newer_than": 1, "wait": 0.5},
        Deployment(store_id="s", version=2, workflows=(ORDERS,)),
    ),
    "deploy": Case([2, (ORDERS,)], {}, Deployment(store_id="s", version=3)),
    "acquire": Case([ROLE], {}, FENCE),
    "release": Case([FENCE], {}, None),
    "share": Case(
        ["host-1", (ROLE,), (FENCE,)],
        {"lease": 10.0},
        Shared(acquired=(FENCE,), lost=(FENCE.role,), surplus=(FENCE.role,)),
    ),
    "leave": Case(["host-1"], {}, None),
    "prepare": Case([{TOPIC: 16}], {}, None),
    "send": Case([(EVENT,)], {}, None),
    "receive": Case(
        [TOPIC, {5: 9, 6: 0}],
        {"reader": ROLE.name, "limit": 500, "wait": 1.0},
        Arrivals(
            events=(Received(event=EVENT, offset=9, record=RECORD),),
            read={5: 10, 6: 3},
            lost={7: 2},
        ),
    ),
    "lag": Case([TOPIC, {5: 9}], {}, 12),
    "ends": Case([TOPIC, (5, 6)], {}, {5: 9, 6: 0}),
    "create": Case([(TIMEOUT,)], {}, None),
    "due": Case(["orders", 1, (5, 6)], {"limit": 10, "wait": 0.5, "after": TIMEOUT}, [TIMEOUT]),
    "complete": Case([(KEY,)], {}, None),
    "move": Case([FENCE], {"limit": 500, "wait": 1.0}, 499),
    "trim": Case([FENCE, TOPIC, {5: 9}], {"limit": 500}, 7),
    "trim_timeouts": Case([], {"completed": 60.0, "limit": 500}, 3),
}


ERRORS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, WorkflowError) and kind is not WorkflowError
]


def sample(kind: type[WorkflowError]) -> WorkflowError:
    """Make an error whose fields are fixed values of their types."""
    values: dict[object, object] = {
        str: "x",
        int: 3,
        float: 0.5,
        Sequence[str]: ["a", "b"],
        Sequence[tuple[str, int]]: [("a", 1)],
        Sequence[tuple[str, str, int, str]]: [("a", "b", 1, "c")],
        Mapping[str, int]: {"a": 1},
    }
    # None for the others
    return kind(
        *(values.get(each.annotation) for each in inspect.signature(kind).parameters.values())
    )
