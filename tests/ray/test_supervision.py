"""What the supervisor does with what it decides, without Ray."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from workflow_ray.errors import StoreUnavailable
from workflow_ray.records import DeployedWorkflow, Deployment
from workflow_ray.runtime.hosting import roles_of
from workflow_ray.runtime.ray.actors import STORE, ActorGone
from workflow_ray.runtime.ray.registry import RegisteredActor
from workflow_ray.runtime.ray.state import ActorReport, Phase, Wanted
from workflow_ray.runtime.ray.supervision import Supervision

CONSUMER = "orders-1-consumer-1-of-1"
PUBLISHER = "outbox-publisher-1-of-1"
SILENT = 60.0
ALL = [CONSUMER, PUBLISHER, STORE]
OF_TWO = ["orders-1-consumer-1-of-2", "orders-1-consumer-2-of-2"]


class FakeActor:
    """An actor that runs at once, and ends when the test says so."""

    def __init__(self, code: str = "", *, leaves: bool = True, phase: Phase = Phase.RUNNING) -> None:
        self._report = ActorReport(phase=phase, pid=1, node="n", code=code)
        self._changed = asyncio.Condition()
        self._leaves = leaves
        self._dead = False
        self.silent = False  # it does not answer

    async def ask(self, method: str, *arguments: object) -> Any:
        if method == "drain":
            if self._leaves:
                await self.end(ActorReport(phase=Phase.ENDED, pid=1, node="n", why="it was told to stop"))
            return None
        seen, wait = arguments
        assert isinstance(wait, float)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait), self._changed:
                await self._changed.wait_for(lambda: self._dead or self._report.phase is not seen)
        while self.silent and not self._dead:
            await asyncio.sleep(0.01)
        if self._dead:
            raise ActorGone("it was killed")
        return self._report

    async def end(self, last: ActorReport | None = None) -> None:
        """Say that it ends; or just die."""
        async with self._changed:
            self._dead, self._report = last is None, last or self._report
            self._changed.notify_all()

    async def acquire(self) -> None:
        """Acquire the role that it is on standby for."""
        async with self._changed:
            self._report = msgspec.structs.replace(self._report, phase=Phase.RUNNING)
            self._changed.notify_all()


@dataclass
class FakeRegistry:
    """Actors by name, and a store that says what should run."""

    target: Deployment
    holders: dict[str, FakeActor] = field(default_factory=dict[str, FakeActor])
    started: list[str] = field(default_factory=list[str])
    killed: list[FakeActor] = field(default_factory=list[FakeActor])
    broken: dict[str, Exception] = field(default_factory=dict[str, Exception])  # by method
    stubborn: set[str] = field(default_factory=set[str])  # actors that do not end when told
    starting: set[str] = field(default_factory=set[str])  # actors that do not run yet
    unreadable: bool = False  # the store does not answer
    read: int = 0  # reads that the store answered
    unread: int = 0  # reads that it did not answer

    async def deployment(self, *, newer_than: int | None = None, wait: float = 0.0) -> Deployment:
        if self.unreadable:
            self.unread += newer_than is None
            raise StoreUnavailable("the store", "it was killed")
        if newer_than is None:
            self._break("deployment")
            self.read += 1
            return self.target
        while self.target.version <= newer_than:
            await asyncio.sleep(0.01)
        return self.target

    def names(self) -> list[str]:
        self._break("names")
        return list(self.holders)

    def attach(self, name: str) -> FakeActor:
        return self.holders[name]

    def start(self, wanted: Wanted, deployment: Deployment) -> FakeActor:
        self._break(wanted.name)
        self.started.append(wanted.name)
        self.holders[wanted.name] = FakeActor(
            wanted.code, leaves=wanted.name not in self.stubborn, phase=self._first_phase(wanted, deployment)
        )
        return self.holders[wanted.name]

    def _first_phase(self, wanted: Wanted, deployment: Deployment) -> Phase:
        if wanted.name in self.starting:
            return Phase.STARTING
        is_current = wanted.role is None or wanted.role in roles_of(deployment.workflows)
        return Phase.RUNNING if is_current else Phase.STANDBY

    async def kill(self, name: str, actor: RegisteredActor) -> None:
        assert isinstance(actor, FakeActor)
        self.killed.append(actor)
        if self.holders.get(name) is actor:
            del self.holders[name]
        await actor.end()

    def _break(self, method: str) -> None:
        if method in self.broken:
            raise self.broken.pop(method)


def orders(shards: int = 1) -> DeployedWorkflow:
    groups = {"orders-1-consumer": shards, "outbox-publisher": 1}
    return DeployedWorkflow(name="orders", reference="shop:orders", statuses={"CREATED": 1}, partitions=16, groups=groups)


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry(Deployment(store_id="s", version=1, workflows=(orders(),)))


@pytest.fixture
async def supervision(registry: FakeRegistry) -> AsyncIterator[Supervision]:
    supervision = Supervision(registry, silent=SILENT)
    yield supervision
    await supervision.shutdown(deadline=0.0)


async def running(supervision: Supervision, *names: str) -> None:
    """Wait until these run."""
    assert all(one.running for one in await supervision.settled(names, wait=5.0))


async def test_the_store_is_started_first_and_says_what_else_should_run(supervision: Supervision, registry: FakeRegistry) -> None:
    await running(supervision, *ALL)
    assert registry.started == [STORE, CONSUMER, PUBLISHER]
    assert [one.name for one in supervision.status() if one.running] == ALL


async def test_an_actor_that_dies_is_replaced(supervision: Supervision, registry: FakeRegistry) -> None:
    await running(supervision, *ALL)
    dead = registry.holders[CONSUMER]
    await dead.end()
    await _until(lambda: registry.holders.get(CONSUMER) not in (None, dead))
    await running(supervision, *ALL)
    (consumer,) = [one for one in supervision.status() if one.name == CONSUMER]
    assert (consumer.failures, consumer.why) == (1, "it was killed")


async def test_actors_that_run_already_are_attached_and_not_started_again(registry: FakeRegistry) -> None:
    first = Supervision(registry, silent=SILENT)
    await running(first, *ALL)
    registry.holders[CONSUMER].silent = True  # the store and what should run are known before its code
    second = Supervision(registry, silent=SILENT)  # as after the death of the first
    await running(second, STORE, PUBLISHER)
    read = registry.read
    second.refresh()
    await _until(lambda: registry.read > read)
    registry.holders[CONSUMER].silent = False
    await running(second, *ALL)
    assert registry.started == [STORE, CONSUMER, PUBLISHER]
    await first.shutdown(deadline=0.0)
    await second.shutdown(deadline=0.0)


async def test_a_name_that_is_still_taken_is_tried_again(registry: FakeRegistry) -> None:
    registry.broken[CONSUMER] = ActorGone("the name is taken")
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    await supervision.shutdown(deadline=0.0)


async def test_other_shards_replace_those_that_run(supervision: Supervision, registry: FakeRegistry) -> None:
    await running(supervision, *ALL)
    registry.target = Deployment(store_id="s", version=2, workflows=(orders(shards=2),))
    supervision.refresh()
    await running(supervision, "orders-1-consumer-1-of-2", "orders-1-consumer-2-of-2", PUBLISHER, STORE)
    assert CONSUMER not in registry.holders
    assert registry.started.count(PUBLISHER) == 1


async def test_roles_that_are_to_restart_are_drained_and_started_again_and_no_others(registry: FakeRegistry) -> None:
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    before = registry.holders[CONSUMER]
    await supervision.restart([CONSUMER, "orders-9-consumer-1-of-1"])
    await running(supervision, *ALL)
    assert registry.holders[CONSUMER] is not before
    assert registry.started == [STORE, CONSUMER, PUBLISHER, CONSUMER]
    assert [one.failures for one in supervision.status()] == [0, 0, 0]
    await supervision.shutdown(deadline=0.0)


async def test_nothing_is_ended_while_the_store_cannot_say_what_should_run(supervision: Supervision, registry: FakeRegistry) -> None:
    await running(supervision, *ALL)
    registry.target = Deployment(store_id="s", version=2, workflows=())
    registry.broken["deployment"] = StoreUnavailable("the store", "it was killed")
    supervision.refresh()
    await _until(lambda: not registry.broken)
    assert registry.killed == []
    supervision.refresh()
    await _until(lambda: set(registry.holders) == {STORE})


async def test_a_pass_that_fails_does_not_end_the_supervision(supervision: Supervision, registry: FakeRegistry) -> None:
    await running(supervision, *ALL)
    registry.broken["names"] = RuntimeError("Ray is busy")
    supervision.refresh()
    await _until(lambda: not registry.broken)
    dead = registry.holders[PUBLISHER]
    await dead.end()
    await _until(lambda: registry.holders.get(PUBLISHER) not in (None, dead))


async def test_an_actor_that_fails_by_itself_again_and_again_is_waited_for_no_longer(registry: FakeRegistry) -> None:
    supervision = Supervision(registry, silent=SILENT)
    for _ in range(2):
        await running(supervision, CONSUMER)
        failed = registry.holders[CONSUMER]
        await failed.end(ActorReport(phase=Phase.ENDED, pid=1, node="n", why="NotImportable: no module shop", crashed=True))
        await _until(lambda: registry.holders.get(CONSUMER) is not failed)  # noqa: B023  awaited before the variable changes
    (consumer,) = await supervision.settled([CONSUMER], wait=0.0)
    assert (consumer.hopeless, consumer.why) == (True, "NotImportable: no module shop")
    await supervision.shutdown(deadline=0.0)


async def test_shutdown_ends_roles_before_the_store_and_kills_those_that_do_not_end(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_ray.runtime.ray.supervision.SLACK", 0.0)
    registry.stubborn = {CONSUMER}
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    store = registry.holders[STORE]
    await supervision.shutdown(deadline=0.01)
    assert registry.holders == {}
    assert registry.killed[-1] is store


async def test_an_actor_that_does_not_answer_is_killed_and_replaced(registry: FakeRegistry) -> None:
    supervision = Supervision(registry, silent=0.2)
    await running(supervision, *ALL)
    hung = registry.holders[CONSUMER]
    hung.silent = True
    await _until(lambda: registry.holders.get(CONSUMER) not in (None, hung))
    await running(supervision, *ALL)
    (consumer,) = await supervision.settled([CONSUMER], wait=0.0)
    assert registry.killed == [hung]
    assert "it has not answered for" in consumer.why
    await supervision.shutdown(deadline=0.0)


async def test_an_actor_that_does_not_answer_is_not_killed_before_the_target_was_read(registry: FakeRegistry) -> None:
    supervision = Supervision(registry, silent=0.2)
    await running(supervision, *ALL)
    registry.unreadable = True
    registry.holders[CONSUMER].silent = True
    for _ in range(3):
        failures = registry.unread
        await _until(lambda: registry.unread > failures)  # noqa: B023  awaited before the variable changes
    assert registry.killed == []
    registry.unreadable = False
    await _until(lambda: len(registry.killed) == 1)
    await supervision.shutdown(deadline=0.0)


async def test_a_supervisor_that_stood_still_itself_kills_no_actor(registry: FakeRegistry) -> None:
    supervision = Supervision(registry, silent=0.4)
    await running(supervision, *ALL)
    for _ in range(3):
        time.sleep(0.5)  # blocks the loop on purpose, as a supervisor that stands still
        await asyncio.sleep(0.05)
    assert registry.killed == []
    await supervision.shutdown(deadline=0.0)


async def test_an_actor_that_starts_may_be_silent_for_longer(registry: FakeRegistry) -> None:
    supervision = Supervision(registry, silent=0.2)
    registry.starting = {CONSUMER}
    await running(supervision, STORE, PUBLISHER)
    await _until(lambda: CONSUMER in registry.holders)
    registry.holders[CONSUMER].silent = True
    await asyncio.sleep(0.6)
    assert registry.killed == []
    await _until(lambda: len(registry.killed) == 1)
    await supervision.shutdown(deadline=0.0)


async def test_a_newer_deployment_is_followed_without_waiting_for_the_next_pass(
    registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflow_ray.runtime.ray.supervision.POLL", 600.0)
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    workflow = msgspec.structs.replace(orders(), draining=("orders-1-consumer",))
    registry.target = Deployment(store_id="s", version=2, workflows=(workflow,))
    await _until(lambda: CONSUMER not in registry.holders)
    registry.target = Deployment(store_id="s", version=3, workflows=(orders(shards=2),))
    await running(supervision, "orders-1-consumer-1-of-2", "orders-1-consumer-2-of-2", PUBLISHER, STORE)
    await supervision.shutdown(deadline=0.0)


async def test_actors_on_standby_stay_while_their_group_drains_and_become_its_shards(registry: FakeRegistry) -> None:
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    await supervision.prepare("orders-1-consumer", 2, wait=5.0)
    assert phases(supervision) == {CONSUMER: "running", **dict.fromkeys(OF_TWO, "standby"), PUBLISHER: "running", STORE: "running"}
    prepared = [registry.holders[name] for name in OF_TWO]

    workflow = msgspec.structs.replace(orders(), draining=("orders-1-consumer",))
    registry.target = Deployment(store_id="s", version=2, workflows=(workflow,))
    await _until(lambda: CONSUMER not in registry.holders)
    registry.target = Deployment(store_id="s", version=3, workflows=(orders(shards=2),))
    for actor in prepared:
        await actor.acquire()
    await running(supervision, *OF_TWO, PUBLISHER, STORE)
    assert [registry.holders[name] for name in OF_TWO] == prepared
    await supervision.shutdown(deadline=0.0)


async def test_actors_on_standby_that_are_not_wanted_in_time_are_drained(registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    await supervision.prepare("orders-1-consumer", 2, wait=5.0)
    monkeypatch.setattr("workflow_ray.runtime.ray.target.PREPARED", 0.0)
    supervision.refresh()
    await _until(lambda: sorted(registry.holders) == ALL)
    await supervision.shutdown(deadline=0.0)


async def test_another_count_that_is_prepared_replaces_the_one_before(supervision: Supervision, registry: FakeRegistry) -> None:
    await running(supervision, *ALL)
    await supervision.prepare("orders-1-consumer", 2, wait=5.0)
    await supervision.prepare("orders-1-consumer", 3, wait=5.0)
    of_three = {f"orders-1-consumer-{shard}-of-3" for shard in (1, 2, 3)}
    await _until(lambda: registry.holders.keys() == {*ALL, *of_three})


async def test_an_actor_that_dies_on_standby_is_replaced_by_one_on_standby(supervision: Supervision, registry: FakeRegistry) -> None:
    await running(supervision, *ALL)
    await supervision.prepare("orders-1-consumer", 2, wait=5.0)
    dead = registry.holders[OF_TWO[0]]
    await dead.end()
    await _until(lambda: registry.holders.get(OF_TWO[0]) not in (None, dead))
    await supervision.prepare("orders-1-consumer", 2, wait=5.0)
    assert [phases(supervision)[name] for name in OF_TWO] == ["standby", "standby"]


async def test_preparing_ends_where_an_actor_is_hopeless_and_where_none_comes_up(registry: FakeRegistry) -> None:
    supervision = Supervision(registry, silent=SILENT)
    await running(supervision, *ALL)
    registry.starting = set(OF_TWO)
    await supervision.prepare("orders-1-consumer", 2, wait=0.01)
    preparing = asyncio.create_task(supervision.prepare("orders-1-consumer", 2, wait=600.0))
    for _ in range(2):
        await _until(lambda: OF_TWO[0] in registry.holders)
        failed = registry.holders[OF_TWO[0]]
        await failed.end(ActorReport(phase=Phase.ENDED, pid=1, node="n", why="NotImportable: no module shop", crashed=True))
        await _until(lambda: registry.holders.get(OF_TWO[0]) is not failed)  # noqa: B023  awaited before the variable changes
    async with asyncio.timeout(5.0):
        await preparing
    await supervision.shutdown(deadline=0.0)


async def test_a_new_supervisor_drains_what_an_earlier_one_has_prepared(registry: FakeRegistry) -> None:
    registry.holders = {name: FakeActor(phase=Phase.STANDBY) for name in OF_TWO}
    supervision = Supervision(registry, silent=SILENT)
    await _until(lambda: sorted(registry.holders) == ALL)
    await supervision.shutdown(deadline=0.0)


def phases(supervision: Supervision) -> dict[str, str]:
    return {one.name: one.phase for one in supervision.status()}


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0)
