"""What the supervisor does with what it decides, on actors that are none."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from workflow_ray.errors import StoreUnavailable
from workflow_ray.records import DeployedWorkflow, Deployment
from workflow_ray.runtime.ray.actors import STORE, ActorGone
from workflow_ray.runtime.ray.crew import Member
from workflow_ray.runtime.ray.state import Phase, Standing, Wanted
from workflow_ray.runtime.ray.supervisor import Supervision

CONSUMER = "orders-1-consumer-1-of-1"
PUBLISHER = "outbox-publisher-1-of-1"
ALL = [CONSUMER, PUBLISHER, STORE]


class FakeMember:
    """An actor that runs at once, and ends when the test says so."""

    def __init__(self, code: str = "", *, leaves: bool = True) -> None:
        self._standing = Standing(phase=Phase.RUNNING, pid=1, node="n", code=code)
        self._changed = asyncio.Condition()
        self._leaves = leaves
        self._dead = False

    async def ask(self, method: str, *arguments: object) -> Any:
        if method == "drain":
            if self._leaves:
                await self.end(Standing(phase=Phase.ENDED, pid=1, node="n", why="it was told to stop"))
            return None
        async with self._changed:
            await self._changed.wait_for(lambda: self._dead or self._standing.phase is not arguments[0])
        if self._dead:
            raise ActorGone("it was killed")
        return self._standing

    async def end(self, last: Standing | None = None) -> None:
        """Say that it ends; or just die."""
        async with self._changed:
            self._dead, self._standing = last is None, last or self._standing
            self._changed.notify_all()


@dataclass
class FakeCrew:
    """Actors by name, and a store that says what should run."""

    target: Deployment
    holders: dict[str, FakeMember] = field(default_factory=dict[str, FakeMember])
    hired: list[str] = field(default_factory=list[str])
    dismissed: list[FakeMember] = field(default_factory=list[FakeMember])
    broken: dict[str, Exception] = field(default_factory=dict[str, Exception])  # by method
    stubborn: set[str] = field(default_factory=set[str])  # who doesn't leave when told

    async def deployment(self) -> Deployment:
        self._break("deployment")
        return self.target

    def present(self) -> list[str]:
        self._break("present")
        return list(self.holders)

    def adopt(self, name: str) -> FakeMember:
        return self.holders[name]

    def hire(self, wanted: Wanted, deployment: Deployment) -> FakeMember:
        self._break(wanted.name)
        self.hired.append(wanted.name)
        self.holders[wanted.name] = FakeMember(wanted.code, leaves=wanted.name not in self.stubborn)
        return self.holders[wanted.name]

    async def dismiss(self, name: str, member: Member) -> None:
        assert isinstance(member, FakeMember)
        self.dismissed.append(member)
        if self.holders.get(name) is member:
            del self.holders[name]
        await member.end()

    def _break(self, method: str) -> None:
        if method in self.broken:
            raise self.broken.pop(method)


def orders(shards: int = 1) -> DeployedWorkflow:
    groups = {"orders-1-consumer": shards, "outbox-publisher": 1}
    return DeployedWorkflow(name="orders", reference="shop:orders", statuses={"CREATED": 1}, partitions=16, groups=groups)


@pytest.fixture
def crew() -> FakeCrew:
    return FakeCrew(Deployment(store_id="s", version=1, workflows=(orders(),)))


@pytest.fixture
async def supervision(crew: FakeCrew) -> AsyncIterator[Supervision]:
    supervision = Supervision(crew)
    yield supervision
    await supervision.shutdown(deadline=0.0)


async def running(supervision: Supervision, *names: str) -> None:
    """Wait until these run."""
    assert all(one.running for one in await supervision.settled(names, wait=5.0))


async def test_the_store_is_started_first_and_says_what_else_should_run(supervision: Supervision, crew: FakeCrew) -> None:
    await running(supervision, *ALL)
    assert crew.hired == [STORE, CONSUMER, PUBLISHER]
    assert [one.name for one in supervision.status() if one.running] == ALL


async def test_an_actor_that_dies_is_replaced(supervision: Supervision, crew: FakeCrew) -> None:
    await running(supervision, *ALL)
    dead = crew.holders[CONSUMER]
    await dead.end()
    await _until(lambda: crew.holders.get(CONSUMER) not in (None, dead))
    await running(supervision, *ALL)
    (consumer,) = [one for one in supervision.status() if one.name == CONSUMER]
    assert (consumer.failures, consumer.why) == (1, "it was killed")


async def test_what_runs_already_is_adopted_and_not_started_again(crew: FakeCrew) -> None:
    first = Supervision(crew)
    await running(first, *ALL)
    second = Supervision(crew)  # as after the death of the first
    await running(second, *ALL)
    assert crew.hired == [STORE, CONSUMER, PUBLISHER]
    await first.shutdown(deadline=0.0)
    await second.shutdown(deadline=0.0)


async def test_a_name_that_is_still_taken_is_tried_again(crew: FakeCrew) -> None:
    crew.broken[CONSUMER] = ActorGone("the name is taken")
    supervision = Supervision(crew)
    await running(supervision, *ALL)
    await supervision.shutdown(deadline=0.0)


async def test_other_shards_replace_those_that_run(supervision: Supervision, crew: FakeCrew) -> None:
    await running(supervision, *ALL)
    crew.target = Deployment(store_id="s", version=2, workflows=(orders(shards=2),))
    supervision.refresh()
    await running(supervision, "orders-1-consumer-1-of-2", "orders-1-consumer-2-of-2", PUBLISHER, STORE)
    assert CONSUMER not in crew.holders
    assert crew.hired.count(PUBLISHER) == 1


async def test_nothing_is_ended_while_the_store_cannot_say_what_should_run(supervision: Supervision, crew: FakeCrew) -> None:
    await running(supervision, *ALL)
    crew.target = Deployment(store_id="s", version=2, workflows=())
    crew.broken["deployment"] = StoreUnavailable("the store", "it was killed")
    supervision.refresh()
    await _until(lambda: not crew.broken)
    assert crew.dismissed == []
    supervision.refresh()
    await _until(lambda: set(crew.holders) == {STORE})


async def test_a_pass_that_fails_does_not_end_the_supervision(supervision: Supervision, crew: FakeCrew) -> None:
    await running(supervision, *ALL)
    crew.broken["present"] = RuntimeError("Ray is busy")
    supervision.refresh()
    await _until(lambda: not crew.broken)
    dead = crew.holders[PUBLISHER]
    await dead.end()
    await _until(lambda: crew.holders.get(PUBLISHER) not in (None, dead))


async def test_an_actor_that_fails_by_itself_again_and_again_is_waited_for_no_longer(crew: FakeCrew) -> None:
    supervision = Supervision(crew)
    for _ in range(2):
        await running(supervision, CONSUMER)
        failed = crew.holders[CONSUMER]
        await failed.end(Standing(phase=Phase.ENDED, pid=1, node="n", why="NotImportable: no module shop", crashed=True))
        await _until(lambda: crew.holders.get(CONSUMER) is not failed)  # noqa: B023  awaited here
    (consumer,) = await supervision.settled([CONSUMER], wait=0.0)
    assert (consumer.hopeless, consumer.why) == (True, "NotImportable: no module shop")
    await supervision.shutdown(deadline=0.0)


async def test_shutdown_ends_roles_before_the_store_and_kills_who_does_not_leave(crew: FakeCrew, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflow_ray.runtime.ray.supervisor.SLACK", 0.0)
    crew.stubborn = {CONSUMER}
    supervision = Supervision(crew)
    await running(supervision, *ALL)
    store = crew.holders[STORE]
    await supervision.shutdown(deadline=0.01)
    assert crew.holders == {}
    assert crew.dismissed[-1] is store


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0)
