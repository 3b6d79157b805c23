"""Clients read runs and their history."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Route, RoutedRun, Stage, parcels, routed
from workflow_ray import Cause, Client, Pause, Run, RunState, Workflow
from workflow_ray.errors import InvalidInput, RunNotFound, StoreUnavailable
from workflow_ray.records import BATCH_DATA, Record, RunId, Version
from workflow_ray.testing import FakeClock, WorkflowTester
from workflow_ray.testing.clock import START
from workflow_ray_adapters.memory import MemoryStore

ParcelClient: TypeAlias = Client[Parcel, Route]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client(clock: FakeClock) -> ParcelClient:
    """A client without a worker: runs stay where they were triggered."""
    return Client(routed(), MemoryStore(clock), clock)


async def names(runs: AsyncIterator[Run[Parcel, Route]]) -> list[str]:
    return [run.foreign_id async for run in runs]


async def test_a_run_that_does_not_exist_is_not_found(client: ParcelClient) -> None:
    for call in (
        client.get("nothing"),
        client.handle("nothing").history(),
        client.handle("nothing").wait(),
        client.latest("nothing"),
    ):
        with pytest.raises(RunNotFound, match="workflow 'routed' has no run 'nothing'"):
            await call


async def test_another_workflows_run_is_not_found(clock: FakeClock) -> None:
    store, other = MemoryStore(clock), Workflow("other", Parcel, Route)
    handle = await Client(routed(), store, clock).trigger("1", Parcel())
    with pytest.raises(RunNotFound):
        await Client(other, store, clock).get(handle.run_id)


async def test_the_latest_run_of_a_foreign_id_is_the_newest_finished_or_not(
    client: ParcelClient,
) -> None:
    await client.trigger("1", Parcel(weight=1), start_at=Route.SENT)
    await client.trigger("1", Parcel(weight=2), start_at=Route.SENT)
    assert (await client.latest("1")).data == Parcel(weight=2)


async def test_runs_are_listed_by_age_and_newest_first_if_asked(client: ParcelClient) -> None:
    for name in "abc":
        await client.trigger(name, Parcel())
    assert await names(client.runs()) == ["a", "b", "c"]
    assert await names(client.runs(newest_first=True)) == ["c", "b", "a"]


async def test_runs_are_read_in_pages_that_neither_repeat_nor_skip(client: ParcelClient) -> None:
    for name in "abcdefg":
        await client.trigger(name, Parcel())
    for page_size in (1, 2, 3, 7, 8):
        assert "".join(await names(client.runs(page_size=page_size))) == "abcdefg"
        assert (
            "".join(await names(client.runs(page_size=page_size, newest_first=True))) == "gfedcba"
        )


async def test_runs_whose_data_fills_many_pages_are_all_listed(client: ParcelClient) -> None:
    for name in "abcdefghijkl":
        await client.trigger(name, heavy())
    assert "".join(await names(client.runs())) == "abcdefghijkl"
    assert "".join(await names(client.runs(newest_first=True))) == "lkjihgfedcba"


async def test_a_history_whose_data_fills_many_pages_is_read_whole() -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.NEW, Stage.DONE]:
        run.data.weight += 1
        return Stage.NEW if run.data.weight < 12 else Stage.DONE

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", heavy())
        await handle.wait()
        assert [entry.version for entry in await handle.history()] == list(range(1, 14))


def heavy() -> Parcel:
    """Make data of a fifth of a page."""
    return Parcel(label="x" * (BATCH_DATA // 5))


async def test_a_run_must_pass_all_filters(client: ParcelClient, clock: FakeClock) -> None:
    for name, start in (("a", Route.NEW), ("b", Route.PACKED), ("c", Route.SENT), ("c", Route.NEW)):
        await client.trigger(name, Parcel(), start_at=start)
        await clock.advance(timedelta(hours=1))
    assert await names(client.runs(status=Route.NEW)) == ["a", "c"]
    assert await names(client.runs(status={Route.NEW, Route.PACKED})) == ["a", "b", "c"]
    assert await names(client.runs(run_state=RunState.COMPLETED)) == ["c"]
    assert await names(client.runs(run_state=[RunState.COMPLETED, RunState.INITIATED])) == [
        "a",
        "b",
        "c",
        "c",
    ]
    assert [run.status async for run in client.runs(foreign_id="c")] == [Route.SENT, Route.NEW]
    assert [
        run.status async for run in client.runs(foreign_id="c", run_state=RunState.INITIATED)
    ] == [Route.NEW]
    hour = timedelta(hours=1)
    assert await names(client.runs(created_from=START + hour, created_before=START + 2 * hour)) == [
        "b"
    ]
    assert await names(client.runs(status=Route.LOST)) == []


async def test_filters_that_cannot_be_used_are_refused(client: ParcelClient) -> None:
    with pytest.raises(InvalidInput, match="created_from: it has no timezone"):
        await names(client.runs(created_from=datetime(2030, 1, 1)))  # noqa: DTZ001  what is refused
    with pytest.raises(InvalidInput, match="page_size"):
        await names(client.runs(page_size=0))
    with pytest.raises(InvalidInput, match="status: it holds none; give one or several, or leave"):
        await names(client.runs(status=[]))


async def test_runs_are_counted_by_status_and_run_state(client: ParcelClient) -> None:
    for name, start in (("a", Route.NEW), ("b", Route.NEW), ("c", Route.SENT)):
        await client.trigger(name, Parcel(), start_at=start)
    assert await client.counts() == {
        (Route.NEW, RunState.INITIATED): 2,
        (Route.SENT, RunState.COMPLETED): 1,
    }


async def test_the_history_has_every_version_with_typed_data() -> None:
    workflow = Workflow("routed", Parcel, Route)

    @workflow.step(Route.NEW)
    async def pack(run: RoutedRun) -> Literal[Route.PACKED]:
        run.data.weight += 1
        return Route.PACKED

    @workflow.step(Route.PACKED)
    async def send(run: RoutedRun) -> Literal[Route.SENT, Route.LOST] | Pause:
        return Pause("a person must look")

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", Parcel())
        await tester.settle()
        first, second, third = await handle.history()
        assert await handle.history() == [first, second, third]
        assert len({first, second, third, *await handle.history()}) == 3
    assert (first.version, first.status, first.run_state, first.cause) == (
        1,
        Route.NEW,
        RunState.INITIATED,
        Cause.TRIGGER,
    )
    assert (first.by, first.reason, first.at, first.data, first.unreadable) == (
        "client",
        None,
        START,
        Parcel(),
        None,
    )
    assert (second.version, second.status, second.cause, second.data) == (
        2,
        Route.PACKED,
        Cause.STEP,
        Parcel(weight=1),
    )
    assert second.by == "routed-1-consumer-1-of-1"
    assert str(third) == "3 PACKED PAUSED PAUSE by routed-2-consumer-1-of-1 (a person must look)"


class Deaf(MemoryStore):
    """A store that does not answer the next few reads."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.unanswered = 0

    def _ask(self) -> None:
        if self.unanswered:
            self.unanswered -= 1
            raise StoreUnavailable("the store", "the connection broke")

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        self._ask()
        return await super().latest(workflow, foreign_ids)

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        self._ask()
        return await super().lookup(run_ids, fresh=fresh)

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        self._ask()
        return await super().watch(seen, wait=wait, at_rest=at_rest)


async def test_reads_are_repeated_while_the_store_does_not_answer(clock: FakeClock) -> None:
    store = Deaf(clock)
    client = Client(routed(), store, clock)
    handle = await client.trigger("1", Parcel())
    for call in (handle.get, lambda: client.latest("1")):
        store.unanswered = 3
        asked = asyncio.create_task(call())
        await clock.advance(timedelta(seconds=1))
        assert (await asked).run_id == handle.run_id
