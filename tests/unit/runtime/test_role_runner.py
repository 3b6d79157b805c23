"""Roles that end in one way or another are released or started again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.parcels import packing
from workflow_ray.errors import InvalidInput, RoleLost, StoreUnavailable
from workflow_ray.records import Fence, Position, Role, WriteGroup, consumer_group
from workflow_ray.roles.observation import Observation
from workflow_ray.runtime import role_runner
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.process_status import RolePhase
from workflow_ray.runtime.role_runner import RELEASING, RoleRunner
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore

GROUP = consumer_group("parcels", 1)
ROLE = Role(GROUP)
SOON = timedelta(seconds=1)


class FlakyStore(MemoryStore):
    """Raises StoreUnavailable at each release while `away` is set."""

    away, asked = False, 0

    async def release(self, fence: Fence) -> None:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("the store", "the test has cut it off")
        await super().release(fence)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(clock: FakeClock) -> FlakyStore:
    store = FlakyStore(clock)
    await merge(store, [describe_here(packing())])
    return store


@pytest.fixture
def runner(store: FlakyStore, clock: FakeClock) -> RoleRunner:
    return RoleRunner([packing()], store, clock)


Body = Callable[[asyncio.Event], Awaitable[None]]


def runs(monkeypatch: pytest.MonkeyPatch, body: Body) -> list[tuple[Fence, Observation]]:
    """Have each role claim partition 0, then await `body`. Returns what each run was given."""
    begun: list[tuple[Fence, Observation]] = []

    async def run(
        role: Role,
        fence: Fence,
        workflows: Any,
        store: MemoryStore,
        clock: Any,
        stop: asyncio.Event,
        *,
        observation: Any,
        in_flight: Any,
        events: str,
        records: str,
    ) -> None:
        begun.append((fence, observation))
        await store.store(
            [
                WriteGroup(
                    positions=(Position(GROUP, 0, 0, begun=9, log="log", in_use=fence),),
                    fence=fence,
                )
            ]
        )
        await body(stop)

    monkeypatch.setattr(role_runner, "run_role", run)
    return begun


async def in_use(store: MemoryStore) -> Fence | None:
    (position,) = await store.positions(GROUP)
    return position.in_use


async def until_stop(stop: asyncio.Event) -> None:
    await stop.wait()


async def test_an_orderly_end_leaves_nothing_in_doubt(
    store: FlakyStore, runner: RoleRunner, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, until_stop)
    fence = await store.acquire(ROLE)
    runner.start(ROLE, fence)
    await clock.settle()
    assert await in_use(store) == fence
    runner.finish([ROLE.name])
    await clock.settle()
    assert (await in_use(store), runner.held()) == (None, [])


async def test_what_a_role_that_was_lost_had_in_hand_is_not_in_doubt(
    store: FlakyStore, runner: RoleRunner, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose(stop: asyncio.Event) -> None:
        await store.acquire(ROLE)
        raise RoleLost(ROLE.name, 1, 2)

    begun = runs(monkeypatch, lose)
    runner.start(ROLE, await store.acquire(ROLE))
    await clock.settle()
    assert (await in_use(store), runner.held(), len(begun)) == (None, [], 1)


async def test_what_is_abandoned_at_the_deadline_is_not_in_doubt(
    store: FlakyStore, runner: RoleRunner, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never_end(stop: asyncio.Event) -> None:
        await asyncio.Event().wait()

    runs(monkeypatch, never_end)
    runner.start(ROLE, await store.acquire(ROLE))
    await clock.settle()
    await runner.close(deadline=0.0)
    assert await in_use(store) is None


@pytest.mark.parametrize(
    "error",
    [ValueError("boom"), SystemExit(1), asyncio.CancelledError(), BaseException("odd")],
    ids=repr,
)
async def test_a_role_that_raises_starts_again_with_the_same_fence_and_is_not_released(
    error: BaseException,
    store: FlakyStore,
    runner: RoleRunner,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def crash_once(stop: asyncio.Event) -> None:
        if len(begun) == 1:
            raise error
        await stop.wait()

    begun = runs(monkeypatch, crash_once)
    fence = await store.acquire(ROLE)
    with caplog.at_level(logging.ERROR):
        runner.start(ROLE, fence)
        await clock.advance(SOON)
    assert ([given for given, _ in begun], store.asked) == ([fence, fence], 0)
    assert f"role {ROLE.name} crashed; starting it again" in caplog.text
    await runner.close()
    assert await in_use(store) is None


async def test_a_setting_that_is_wrong_is_logged_without_a_traceback_at_growing_pauses(
    store: FlakyStore,
    runner: RoleRunner,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def refuse(stop: asyncio.Event) -> None:
        raise InvalidInput("the source", "it names no cluster.")

    begun = runs(monkeypatch, refuse)
    with caplog.at_level(logging.ERROR):
        runner.start(ROLE, await store.acquire(ROLE))
        await clock.advance(timedelta(minutes=10))
    assert 10 < len(begun) < 25
    records = [record for record in caplog.records if "can't run" in record.message]
    assert len(records) == len(begun)
    assert f"role {ROLE.name} can't run: " in records[0].message
    assert "it names no cluster. Trying again in" in records[0].message
    assert not any(record.exc_info for record in records)
    await runner.close()


async def test_a_release_is_tried_again_while_the_store_does_not_answer(
    store: FlakyStore, runner: RoleRunner, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs(monkeypatch, until_stop)
    fence = await store.acquire(ROLE)
    runner.start(ROLE, fence)
    await clock.settle()
    store.away = True
    runner.finish([ROLE.name])
    await clock.advance(SOON)
    # heartbeats go on meanwhile
    assert (runner.held(), runner.releasing.locked()) == ([fence], False)
    store.away = False
    await clock.advance(2 * SOON)
    assert (await in_use(store), runner.held()) == (None, [])


async def test_a_release_is_given_up_where_the_store_does_not_come_back(
    store: FlakyStore,
    runner: RoleRunner,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    runs(monkeypatch, until_stop)
    runner.start(ROLE, await store.acquire(ROLE))
    await clock.settle()
    store.away = True
    runner.finish([ROLE.name])
    await clock.advance(timedelta(seconds=RELEASING))
    assert runner.held() == []
    assert f"role {ROLE.name} was not released" in caplog.text


async def test_the_roles_of_a_process_share_one_observation(
    store: FlakyStore, runner: RoleRunner, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = runs(monkeypatch, until_stop)
    for role in (ROLE, Role("sweeper")):
        runner.start(role, await store.acquire(role))
    await clock.settle()
    assert len({id(observation) for _, observation in begun}) == 1
    await runner.close()


async def test_a_role_that_crashed_tells_why_and_when_until_it_has_ended(
    store: FlakyStore, runner: RoleRunner, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = [OSError("no disk"), None]

    async def crash_once(stop: asyncio.Event) -> None:
        if error := outcomes.pop(0):
            raise error
        await stop.wait()

    runs(monkeypatch, crash_once)
    began = clock.now()
    runner.start(ROLE, await store.acquire(ROLE))
    await clock.settle()
    (status,) = runner.statuses()
    assert (status.name, status.phase, status.since) == (ROLE.name, RolePhase.WAITING, began)
    assert (status.failures, status.why, status.failed_at) == (1, "OSError: no disk", began)
    await clock.advance(timedelta(seconds=1))
    assert [status.phase for status in runner.statuses()] == [RolePhase.RUNNING]
    runner.finish([ROLE.name])
    assert [status.phase for status in runner.statuses()] == [RolePhase.DRAINING]
    await clock.settle()
    assert runner.statuses() == ()
