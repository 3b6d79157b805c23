"""Runs, writes, roles and events for the cases."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from workflow_ray.ports import EventStreamer, Records, RecordStore
from workflow_ray.records import (
    BATCH_DATA,
    NO_VERSION,
    PUBLISHER,
    ActiveRun,
    Awaits,
    Cause,
    Committed,
    DeployedWorkflow,
    Deployment,
    Event,
    Fence,
    GroupResult,
    HistoryEntry,
    KeyUsed,
    NewRun,
    OutboxEntry,
    OutgoingEvent,
    Position,
    Received,
    Record,
    Role,
    RunId,
    RunQuery,
    RunState,
    Stored,
    Topic,
    Version,
    Write,
    WriteGroup,
    WriteResult,
    consumer_group,
    new_run_id,
    new_write_id,
    status_topic,
)

T = TypeVar("T")

PARTITIONS = 4
CREATED, PAID, SHIPPED = 1, 2, 3
CREATED_TOPIC = status_topic("orders", CREATED)
CONSUMERS = consumer_group("orders", CREATED)
PAID_CONSUMERS = consumer_group("orders", PAID)
START = dict.fromkeys(range(PARTITIONS), 0)
"""The offsets of a reader that has received nothing yet."""
QUARTER = b"x" * (BATCH_DATA // 4)
"""Data of a size such that the fifth run is the last one of a page."""


# --- writes -------------------------------------------------------------------------------------


def new_run(
    foreign_id: str | None = None,
    *,
    run_id: RunId | None = None,
    workflow: str = "orders",
    key: str | None = None,
    digest: bytes | None = None,
    status: int = CREATED,
    data: bytes = b"{}",
    partition: int = 0,
    events: Sequence[OutgoingEvent] = (),
    labels: dict[str, str] | None = None,
) -> Write:
    """Make a trigger. Without a foreign id it gets a unique one."""
    run_id = run_id or new_run_id()
    new = NewRun(
        workflow=workflow,
        foreign_id=foreign_id or f"order-{run_id}",
        partition=partition,
        idempotency_key=key,
        digest=digest,
    )
    return Write(
        run_id=run_id,
        write_id=new_write_id(),
        expected=NO_VERSION,
        status=status,
        run_state=RunState.INITIATED,
        visit=Version(1),
        cause=Cause.TRIGGER,
        by="client",
        data=data,
        new=new,
        events=tuple(events),
        asks=True,
        labels=labels,
    )


def step(
    before: Record | Write,
    *,
    status: int = PAID,
    run_state: RunState = RunState.RUNNING,
    data: bytes | None = None,
    events: Sequence[OutgoingEvent] = (),
) -> Write:
    """Make a write that moves the run on from `before`, with a new write id."""
    return Write(
        run_id=before.run_id,
        write_id=new_write_id(),
        expected=before.version,
        status=status,
        run_state=run_state,
        visit=Version(before.version + 1),
        cause=Cause.STEP,
        by="orders-1-consumer-1-of-1",
        data=data,
        events=tuple(events),
        awaits=Awaits.NOBODY if run_state.at_rest else Awaits.EVENT,
        asks=not run_state.at_rest,
    )


def event(partition: int = 0, *, topic: Topic = CREATED_TOPIC, delay: float = 0.0) -> OutgoingEvent:
    return OutgoingEvent(topic=topic, partition=partition, delay=delay)


def group(
    *writes: Write, fence: Fence | None = None, positions: Sequence[Position] = ()
) -> WriteGroup:
    return WriteGroup(writes=writes, fence=fence, positions=tuple(positions))


async def store_all(
    store: RecordStore, *writes: Write, fence: Fence | None = None
) -> list[WriteResult]:
    """Store the writes as one group, and return its results."""
    return results(await store.store([group(*writes, fence=fence)]))


def results(answers: Sequence[GroupResult]) -> list[WriteResult]:
    """Return the results of the writes of groups that have all committed."""
    found: list[WriteResult] = []
    for answer in answers:
        assert isinstance(answer, Committed)
        found.extend(answer.results)
    return found


def check_one_won(answers: list[WriteResult], *, others: type[ActiveRun] | type[KeyUsed]) -> None:
    """Check that one of several triggers was stored, and that the answers to the others name it."""
    (winner,) = [answer.run_id for answer in answers if isinstance(answer, Stored)]
    losers = [answer for answer in answers if not isinstance(answer, Stored)]
    assert losers == [others(loser.run_id, winner) for loser in losers]


async def stored_runs(store: RecordStore, *, count: int) -> list[Record]:
    """Store new runs, and return their records in the order of their run ids."""
    writes = [new_run() for _ in range(count)]
    await store_all(store, *writes)
    return [await stored(store, write.run_id) for write in writes]


async def stored_run(store: RecordStore) -> Record:
    (record,) = await stored_runs(store, count=1)
    return record


async def stored(store: RecordStore, run_id: RunId) -> Record:
    """Return the current record of the run."""
    (record,) = await store.lookup([run_id], fresh=True)
    assert record is not None
    return record


async def heavy_runs(store: RecordStore) -> list[RunId]:
    """Store six runs, of which five make a page."""
    runs = [new_run(data=QUARTER) for _ in range(6)]
    for run in runs:
        await store_all(store, run)
    return [run.run_id for run in runs]


async def next_page(store: RecordStore, query: RunQuery, seen: list[RunId]) -> list[Record]:
    """Return the page after the runs seen."""
    return await store.runs(replace(query, after=seen[-1]) if seen else query)


async def versions(store: RecordStore, run_id: RunId) -> list[int]:
    """Return the versions in the run's history."""
    return [entry.version for entry in await store.history(run_id)]


async def last_entry(store: RecordStore, run_id: RunId) -> HistoryEntry:
    return (await store.history(run_id))[-1]


# --- roles and events ---------------------------------------------------------------------------


def workflow(
    name: str = "orders",
    *,
    statuses: dict[str, int] | None = None,
    partitions: int = PARTITIONS,
    groups: dict[str, int] | None = None,
) -> DeployedWorkflow:
    return DeployedWorkflow(
        name=name,
        reference=f"shop:{name}",
        statuses=(
            {"CREATED": CREATED, "PAID": PAID, "SHIPPED": SHIPPED} if statuses is None else statuses
        ),
        partitions=partitions,
        groups={CONSUMERS: 1, PAID_CONSUMERS: 2, PUBLISHER: 1} if groups is None else groups,
    )


async def deploy(store: RecordStore, *workflows: DeployedWorkflow) -> Deployment:
    return await store.deploy((await store.deployment()).version, workflows)


async def acquire(store: Records, group: str = PUBLISHER) -> Fence:
    """Acquire the first role of a group, and deploy a workflow first if there is none."""
    if (await store.deployment()).version == 0:
        await deploy(store, workflow())
    return await store.acquire(Role(group))


async def received(store: EventStreamer, *, topic: Topic = CREATED_TOPIC) -> list[Received]:
    """Return every event that was published to the topic."""
    return await receive(store, topic, START, limit=10_000, wait=0)


async def receive(
    store: EventStreamer, topic: Topic, offsets: Mapping[int, int], *, limit: int, wait: float
) -> list[Received]:
    """Return the events of one call of `receive`."""
    arrivals = await store.receive(topic, offsets, reader="conformance", limit=limit, wait=wait)
    return list(arrivals.events)


def names(events: Sequence[Received], partition: int | None = None) -> list[tuple[RunId, Version]]:
    """Return run and version of the events, or of the events of one partition."""
    return [
        (item.event.run_id, item.event.version)
        for item in events
        if partition in (None, item.event.partition)
    ]


def events_of(entries: Sequence[OutboxEntry]) -> list[Event]:
    """Return the events of outbox entries, without the entries that carry a timeout."""
    return [entry.event for entry in entries if entry.event is not None]
