"""Stores that are made of several, for records, events and timeouts."""

import asyncio
import traceback
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import astuple, replace
from pathlib import Path
from socket import socket
from time import monotonic
from typing import Any

import pytest
from msgspec import structs

from tests.unit.parcels import packing
from workflow_ray.errors import (
    PartitionsChanged,
    StoreMissing,
    StoreUnavailable,
    TopicMismatch,
    UnfitAdapter,
    UnknownScheme,
)
from workflow_ray.ports import Clock, OutboxMover, Records, Store, SystemClock
from workflow_ray.ports.adapters import OURS
from workflow_ray.records import (
    PUBLISHER,
    Committed,
    Event,
    NewTimeout,
    Position,
    Role,
    RunId,
    Timeout,
    TimeoutKey,
    Topic,
    Version,
    WriteGroup,
    connector_group,
    consumer_group,
    hooks_group,
    run_state_topic,
    scheduler_group,
    status_topic,
)
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.mixed import EventsApart, mixed
from workflow_ray.runtime.stores import create, open_store
from workflow_ray.runtime.urls import Urls
from workflow_ray.testing.conformance.kin import child, starting
from workflow_ray.testing.conformance.runs import CREATED, new_run, store_all
from workflow_ray_adapters.memory import MemoryAdapter, MemoryStore

TOPIC, GROUP = status_topic("parcels", 1), consumer_group("parcels", 1)


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


def in_memory(name: Path, *, events: str = "", timeouts: str = "") -> Urls:
    return Urls(f"memory://{name}", f"memory://{name}{events}", f"memory://{name}{timeouts}")


def opened(urls: Urls, clock: Clock) -> AbstractAsyncContextManager[Store]:
    return open_store(urls, clock=clock, store_id=create(urls))


def event(version: int = 1) -> Event:
    return Event(run_id=RunId("r"), topic=TOPIC, partition=0, version=Version(version), status=1)


# --- what the URLs come to ----------------------------------------------------------------------


async def test_one_url_for_all_is_the_adapters_own_store(tmp_path: Path, clock: Clock) -> None:
    async with opened(in_memory(tmp_path), clock) as store:
        assert isinstance(store, MemoryStore)


@pytest.mark.parametrize(
    ("events", "timeouts", "moves"),
    [("", "", True), ("", "-t", True), ("-e", "", False), ("-e", "-t", False)],
)
async def test_events_move_inside_the_store_of_the_records_only_if_they_are_there(
    tmp_path: Path, clock: Clock, events: str, timeouts: str, moves: bool
) -> None:
    async with opened(in_memory(tmp_path, events=events, timeouts=timeouts), clock) as store:
        assert isinstance(store, OutboxMover) == moves


async def test_each_part_goes_where_its_url_says(tmp_path: Path, clock: Clock) -> None:
    urls = in_memory(tmp_path, events="-e", timeouts="-t")
    timeout = Timeout(
        key=TimeoutKey(RunId("r"), Version(1), "t"),
        workflow="parcels",
        status=1,
        partition=0,
        due_at=clock.now(),
    )
    async with opened(urls, clock) as store:
        await merge(store, [describe_here(packing())])
        await store.send([event()])
        await store.create([timeout])
    adapter = MemoryAdapter()
    async with (
        adapter.open_events(urls.events, clock=clock) as there,
        adapter.open_timeouts(urls.timeouts, clock=clock) as later,
    ):
        assert await there.lag(TOPIC, {0: 0}) == 1
        assert await later.due("parcels", 1, [0], limit=1, wait=0) == [timeout]
        assert (await there.deployment()).workflows == ()
    async with adapter.open_records(urls.records, clock=clock) as here:
        assert [workflow.name for workflow in (await here.deployment()).workflows] == ["parcels"]
        assert await here.lag(TOPIC, {0: 0}) == 0


async def test_different_spellings_of_one_place_are_one_place(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    urls = Urls("sqlite:///shop.db", f"sqlite:///{tmp_path}/shop.db", "sqlite:///./shop.db")
    async with opened(urls, clock) as store:
        assert isinstance(store, OutboxMover)


# --- what is refused ----------------------------------------------------------------------------


class JustRecords:
    """A store that holds records only, and its adapter."""

    shared = False

    def __init__(self) -> None:
        self._store = MemoryStore(SystemClock())

    def __getattr__(self, name: str) -> Any:
        if name in dir(Records):
            return getattr(self._store, name)
        raise AttributeError(name)

    def canonical(self, url: str) -> str:
        return url

    def create(self, url: str) -> str:
        return self._store.store_id

    @asynccontextmanager
    async def open_records(self, url: str, **_: object) -> AsyncGenerator[Any]:
        yield self


@pytest.fixture
def just_records(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a store that holds records only."""
    monkeypatch.setitem(OURS, "just", (f"{__name__}:JustRecords", ""))
    return "just://records"


async def test_records_without_events_ask_for_a_place_for_them(
    just_records: str, tmp_path: Path, clock: Clock
) -> None:
    with pytest.raises(
        UnfitAdapter, match=r"^just: it holds no events\. Name another URL for the events\.$"
    ):
        await opened(Urls.of(just_records), clock).__aenter__()
    with pytest.raises(UnfitAdapter, match="no timeouts"):
        await opened(Urls.of(just_records, f"memory://{tmp_path}"), clock).__aenter__()
    async with opened(
        Urls.of(just_records, f"memory://{tmp_path}", f"memory://{tmp_path}"), clock
    ) as store:
        await merge(store, [describe_here(packing())])
        assert await store.ends(TOPIC, [0]) == {0: 0}


@pytest.mark.parametrize("part", ["records", "events", "timeouts"])
def test_nothing_is_made_where_some_scheme_is_unknown(tmp_path: Path, part: str) -> None:
    urls = replace(Urls.of(f"sqlite:///{tmp_path}/shop.db"), **{part: "oracle://db"})
    with pytest.raises(UnknownScheme):
        create(urls)
    assert list(tmp_path.iterdir()) == []


def test_what_holds_no_records_is_none_for_records(just_records: str) -> None:
    with pytest.raises(UnfitAdapter, match=r"^just: it holds no events"):
        create(Urls.of("memory://shop", just_records))


UNREACHED = [
    *(Urls.of(f"{scheme}://shop:pass-phrase@{{at}}/shop") for scheme in ("postgresql", "mysql")),
    Urls.of("redis://shop:pass-phrase@{at}/0"),
    Urls.of("memory://shop", "kafka://{at}"),
    Urls.of("memory://shop", "kafka://shop:pass-phrase@{at}?mechanism=PLAIN"),
    Urls.of("memory://shop", "redis://{at}"),
    Urls.of("memory://shop", timeouts="postgresql://shop:pass-phrase@{at}/shop"),
]


@pytest.mark.parametrize("answering", [False, True], ids=["nobody listens", "nobody answers"])
async def test_what_cannot_be_reached_is_said_within_5_seconds_and_without_passwords(
    answering: bool,
) -> None:
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        if answering:
            listening.listen()
        at = "{}:{}".format(*listening.getsockname())
        given = [Urls(*(url.format(at=at) for url in astuple(urls))) for urls in UNREACHED]
        failures = await asyncio.gather(*(asyncio.to_thread(failed, urls) for urls in given))
    for failure, seconds in failures:
        assert at in str(failure)
        assert seconds < 5.0
        assert "pass-phrase" not in "".join(traceback.format_exception(failure))


def failed(urls: Urls) -> tuple[StoreUnavailable, float]:
    """Return the result of making the store, and the seconds that it took."""
    began = monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        create(urls)
    return caught.value, monotonic() - began


async def test_a_store_that_nobody_made_is_missed(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(StoreMissing):
        await open_store(in_memory(tmp_path), clock=clock).__aenter__()


# --- positions, where events are elsewhere ------------------------------------------------------


class Log(MemoryStore):
    """A log that mirrors positions for its own tools."""

    def __init__(self, clock: Clock, name: str) -> None:
        super().__init__(clock)
        self._name = name
        self.shown: list[tuple[Topic, Sequence[Position]]] = []
        self.topics: Mapping[Topic, int] = {}

    @property
    def stream_id(self) -> str:
        return self._name

    def mirror(self, topic: Topic, positions: Sequence[Position]) -> None:
        self.shown.append((topic, positions))

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        if any(
            self.topics.get(topic, partitions) != partitions for topic, partitions in topics.items()
        ):
            raise TopicMismatch(TOPIC, "it has another number of partitions")
        self.topics = topics


async def test_a_position_says_which_log_it_counts_in_and_one_of_another_log_replaces_it(
    clock: Clock,
) -> None:
    records = MemoryStore(clock)
    first, second = (EventsApart(records, Log(clock, log), records) for log in ("first", "second"))
    await first.store([WriteGroup(positions=(Position(GROUP, 0, 7, log=first.stream_id),))])
    assert (
        await second.positions(GROUP)
        == await records.positions(GROUP)
        == [Position(GROUP, 0, 7, log=first.stream_id)]
    )
    moved = Position(GROUP, 0, 2, log=second.stream_id)
    await second.store([WriteGroup(positions=(moved,))])
    assert await first.positions(GROUP) == [moved]


async def test_what_was_committed_is_shown_to_a_log_that_shows_positions(clock: Clock) -> None:
    records, log = MemoryStore(clock), Log(clock, "log")
    store = EventsApart(records, log, records)
    await merge(store, [describe_here(packing())])
    stale = await store.acquire(Role(PUBLISHER))
    await store.acquire(Role(PUBLISHER))
    groups = [
        WriteGroup(positions=(Position(GROUP, 0, 7),)),
        WriteGroup(positions=(Position(GROUP, 1, 9),), fence=stale),
    ]
    assert [isinstance(answer, Committed) for answer in await store.store(groups)] == [True, False]
    assert log.shown == [(TOPIC, [Position(GROUP, 0, 7)])]


async def test_only_positions_in_the_log_are_shown_to_it(clock: Clock) -> None:
    records, log = MemoryStore(clock), Log(clock, "log")
    store = EventsApart(records, log, records)
    ticks = Position(scheduler_group("orders", "restock"), 0, 1_764_000_000_000)
    carts = Position(connector_group("orders", "carts"), 2, 9, log="carts")
    states = Position(hooks_group("orders"), 1, 4)
    await store.store([WriteGroup(positions=(ticks, carts, states))])
    assert log.shown == [(run_state_topic("orders"), [states])]


async def test_timeouts_of_children_go_where_timeouts_are(clock: Clock) -> None:
    records, timeouts = MemoryStore(clock), MemoryStore(clock)
    store = mixed(records, None, timeouts)
    await merge(store, [describe_here(packing())])
    parent = new_run()
    expiry = NewTimeout(name="expiry", workflow="invoices", partition=0, after=0.0)
    invoice = child()
    write = structs.replace(invoice.write, timeouts=(expiry,))
    timed = structs.replace(invoice, write=write)
    await store_all(store, parent, starting(parent, timed))
    assert await store.due("invoices", CREATED, [0], limit=10, wait=0) == []
    publisher = await store.acquire(Role(PUBLISHER))
    (entry,) = await store.pending(publisher, limit=10, wait=0, timeouts_only=True)
    assert entry.timeout is not None
    assert entry.timeout.key.run_id == invoice.write.run_id


# --- topics -------------------------------------------------------------------------------------


async def test_deploying_makes_the_topics_that_have_consumers(clock: Clock) -> None:
    records, log = MemoryStore(clock), Log(clock, "log")
    await merge(EventsApart(records, log, records), [describe_here(packing(partitions=4))])
    assert log.topics == {TOPIC: 4}


async def test_deploying_again_makes_them_on_a_log_that_is_new(clock: Clock) -> None:
    records, first, second = MemoryStore(clock), Log(clock, "first"), Log(clock, "second")
    for log in (first, second):
        await merge(EventsApart(records, log, records), [describe_here(packing())])
    assert second.topics == {TOPIC: 16}


async def test_a_topic_with_another_number_of_partitions_is_refused_before_anything_is_written(
    clock: Clock,
) -> None:
    records, log = MemoryStore(clock), Log(clock, "log")
    log.topics = {TOPIC: 3}
    with pytest.raises(TopicMismatch):
        await merge(EventsApart(records, log, records), [describe_here(packing())])
    assert (await records.deployment()).version == 0


async def test_another_number_of_partitions_than_before_is_refused_before_any_topic_is_made(
    clock: Clock,
) -> None:
    records, first, second = MemoryStore(clock), Log(clock, "first"), Log(clock, "second")
    await merge(EventsApart(records, first, records), [describe_here(packing())])
    with pytest.raises(PartitionsChanged):
        await merge(EventsApart(records, second, records), [describe_here(packing(partitions=8))])
    assert second.topics == {}
