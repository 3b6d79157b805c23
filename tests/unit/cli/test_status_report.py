"""What `workflow-ray status` reads from a store: names, numbers and failures, by bounded reads."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_ray.cli.role_states import held_by_process, held_by_workers
from workflow_ray.cli.status_report import DELAYED, PAUSED, Running, StatusReader
from workflow_ray.cli.status_views import LogsView, Report, StatusView
from workflow_ray.records import Cause, Position, Record, Role, RunQuery, RunState, Write
from workflow_ray.runtime.process_status import ProcessStatus, RolePhase, RoleStatus
from workflow_ray.runtime.urls import Places
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import (
    CONSUMERS,
    CREATED,
    PAID_CONSUMERS,
    deploy,
    event,
    group,
    new_run,
    step,
    store_all,
    workflow,
)
from workflow_ray_adapters.memory.store import MemoryStore

NOTHING = Running(None, (), LogsView(where="nowhere"))
PLACES = Places("memory:", "memory:", "memory:")


class CountedStore(MemoryStore):
    """Notes what is asked of runs."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.queries: list[RunQuery] = []

    async def runs(self, query: RunQuery) -> list[Record]:
        self.queries.append(query)
        return await super().runs(query)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(clock: FakeClock) -> CountedStore:
    store = CountedStore(clock)
    await deploy(store, workflow())
    return store


async def read(store: MemoryStore, running: Running = NOTHING) -> Report:
    reader = StatusReader(store, store, await store.deployment(), running)
    return await reader.read(PLACES, await store.activity(limit=DELAYED))


async def status_named(store: MemoryStore, name: str, running: Running = NOTHING) -> StatusView:
    (view,) = [each for each in (await read(store, running)).statuses if each.status == name]
    return view


def failed(run: Write, reason: str, *, delay: float | None = None) -> Write:
    """The write of a failed attempt: of the last one where no other is due after `delay`."""
    if delay is None:
        write = step(run, status=CREATED, run_state=RunState.PAUSED)
        return replace(write, cause=Cause.FAILED, reason=reason)
    write = step(run, status=CREATED, events=[event(delay=delay)])
    return replace(write, cause=Cause.RETRY, reason=reason)


def held_back(run: Write, reason: str, *, delay: float) -> Write:
    """The write of a run whose step a circuit breaker holds back."""
    return replace(failed(run, reason, delay=delay), cause=Cause.PARKED)


async def store_in_turn(
    store: MemoryStore, clock: FakeClock, writes: Sequence[Write], pause: float = 1.0
) -> None:
    for write in writes:
        await store_all(store, write)
        await clock.advance(timedelta(seconds=pause))


async def test_a_status_has_its_name_and_one_that_is_not_deployed_its_number(
    store: CountedStore,
) -> None:
    await store_all(store, new_run(status=77))
    names = [(each.status, each.number) for each in (await read(store)).statuses]
    assert names == [("orders.CREATED", 1), ("orders.PAID", 2), ("orders.77", 77)]


async def test_runs_that_wait_and_runs_that_are_paused_are_counted_and_ended_ones_are_not(
    store: CountedStore,
) -> None:
    waits, paused, ended = new_run(), new_run(), new_run()
    await store_all(store, waits, paused, ended)
    await store_all(store, step(paused, status=CREATED, run_state=RunState.PAUSED))
    await store_all(store, step(ended, status=CREATED, run_state=RunState.COMPLETED))
    view = await status_named(store, "orders.CREATED")
    assert (view.backlog, view.paused, view.in_flight) == (1, 1, None)


async def test_runs_that_a_circuit_breaker_holds_back_are_counted_with_the_newest_reason(
    store: CountedStore, clock: FakeClock
) -> None:
    runs = [new_run() for _ in range(3)]
    await store_all(store, *runs)
    parked = [held_back(run, f"open {at}", delay=60.0) for at, run in enumerate(runs)]
    await store_in_turn(store, clock, parked)
    view = await status_named(store, "orders.CREATED")
    assert (view.held_back, view.held_back_because) == (3, "open 2")
    assert view.last_failure is None
    other = await status_named(store, "orders.PAID")
    assert (other.held_back, other.held_back_because) == (0, None)


async def test_the_next_retry_is_the_one_that_gets_due_first(
    store: CountedStore, clock: FakeClock
) -> None:
    runs = [new_run() for _ in range(3)]
    await store_all(store, *runs)
    delays = (60.0, 20.0, 40.0)
    retries = [failed(run, "x", delay=delay) for run, delay in zip(runs, delays, strict=True)]
    await store_all(store, *retries)
    view = await status_named(store, "orders.CREATED")
    assert view.next_retry_at == clock.now() + timedelta(seconds=20)
    assert (await status_named(store, "orders.PAID")).next_retry_at is None


async def test_the_last_failure_is_the_newest_whether_or_not_it_is_final(
    store: CountedStore, clock: FakeClock
) -> None:
    runs = [new_run(key) for key in ("a", "b", "c")]
    await store_all(store, *runs)
    last = clock.now() + timedelta(seconds=1)
    writes = [failed(runs[2], "no card", delay=600.0), failed(runs[0], "no stock")]
    await store_in_turn(store, clock, writes)
    found = (await status_named(store, "orders.CREATED")).last_failure
    assert found is not None
    assert (found.at, found.reason, found.foreign_id) == (last, "no stock", "a")
    assert found.is_final
    await store_in_turn(store, clock, [failed(runs[1], "no card", delay=600.0)])
    found = (await status_named(store, "orders.CREATED")).last_failure
    assert found is not None
    assert (found.foreign_id, found.is_final) == ("b", False)


async def test_a_run_that_somebody_has_paused_is_not_a_failure(store: CountedStore) -> None:
    run = new_run()
    await store_all(store, run)
    await store_all(store, step(run, status=CREATED, run_state=RunState.PAUSED))
    assert (await status_named(store, "orders.CREATED")).last_failure is None


async def test_however_many_runs_there_are_a_bounded_number_is_read(
    store: CountedStore,
) -> None:
    for _ in range(4):
        runs = [new_run() for _ in range(200)]
        await store_all(store, *runs)
        await store_all(store, *(failed(run, "x", delay=60.0) for run in runs[:150]))
        await store_all(store, *(failed(run, "x") for run in runs[150:]))
    report = await read(store)
    assert [query.limit for query in store.queries] == [PAUSED]
    (delayed,) = {entry.due_at for entry in (await store.activity()).delayed}
    assert report.delayed_read_until == delayed, "more than DELAYED retries wait"


async def test_where_all_delayed_events_were_read_the_report_says_so(store: CountedStore) -> None:
    run = new_run()
    await store_all(store, run)
    await store_all(store, failed(run, "x", delay=60.0))
    assert (await read(store)).delayed_read_until is None


async def test_the_lag_is_what_the_roles_have_not_finished_of_the_stream_that_they_read(
    store: CountedStore,
) -> None:
    fence = await store.acquire(Role(CONSUMERS))
    await store_all(store, *(new_run(events=[event()]) for _ in range(5)))
    publisher = await store.acquire(Role("outbox-publisher"))
    await store.move(publisher, limit=10, wait=0)
    done = Position(CONSUMERS, 0, 3, log=store.stream_id)
    await store.store([group(fence=fence, positions=[done])])
    assert (await status_named(store, "orders.CREATED")).lag == 2
    other = Position(CONSUMERS, 0, 3, log="another stream", incarnation=1)
    await store.store([group(fence=fence, positions=[other])])
    assert (await status_named(store, "orders.CREATED")).lag is None


async def test_a_local_process_tells_which_roles_it_runs_and_how_many_steps(
    store: CountedStore, clock: FakeClock
) -> None:
    crash: dict[str, Any] = {"failures": 2, "why": "OSError: no disk", "failed_at": clock.now()}
    held = [RoleStatus(name="orders-1-consumer-1-of-1", phase=RolePhase.RUNNING, since=clock.now())]
    held[0] = replace(held[0], in_flight=3)
    held += [
        RoleStatus(
            name="orders-2-consumer-1-of-2", phase=RolePhase.WAITING, since=clock.now(), **crash
        )
    ]
    process = ProcessStatus(host="h", pid=7, since=clock.now(), roles=tuple(held))
    running = Running("local", held_by_process(process), LogsView(where="stderr"))
    report = await read(store, running)
    assert (report.state, report.runs_on) == ("running", "local")
    created, paid = report.statuses
    assert (created.running, created.shards, created.in_flight) == (1, 1, 3)
    assert (paid.running, paid.shards, paid.in_flight) == (0, 2, None)
    shown = [(role.name, role.phase, role.pid, role.why) for role in report.roles]
    assert shown == [
        ("orders-1-consumer-1-of-1", "running", 7, ""),
        ("orders-2-consumer-1-of-2", "waiting", 7, "OSError: no disk"),
        ("orders-2-consumer-2-of-2", "stopped", None, ""),
        ("outbox-publisher-1-of-1", "stopped", None, ""),
    ]


async def test_workers_that_share_the_roles_are_known_by_their_leases(store: CountedStore) -> None:
    workers = {"web-1-4242-0a1b2c3d": Role(PAID_CONSUMERS, 1, 2), "x": Role(PAID_CONSUMERS, 2, 2)}
    for worker, role in workers.items():
        await store.share(worker, [role], [], lease=10.0)
    holders = (await store.activity()).holders
    report = await read(store, Running("local", held_by_workers(holders), NOTHING.logs))
    paid = [(role.host, role.pid) for role in report.roles if role.status == "orders.PAID"]
    assert paid == [("web-1", 4242), ("x", None)]


async def test_what_is_deployed_and_does_not_run_differs_from_what_is_not_deployed(
    store: CountedStore, clock: FakeClock
) -> None:
    assert (await read(store)).state == "stopped"
    assert (await read(MemoryStore(clock))).state == "empty"
