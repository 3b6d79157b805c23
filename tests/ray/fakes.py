"""Actors and their registry without Ray, for tests of the supervision."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from workflow_ray.definition import RayOptions
from workflow_ray.definition.ray_options import NOTHING
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

    def __init__(
        self, code: str = "", *, leaves: bool = True, phase: Phase = Phase.RUNNING
    ) -> None:
        self._report = ActorReport(phase=phase, pid=1, node="n", code=code)
        self._changed = asyncio.Condition()
        self._leaves = leaves
        self._dead = False
        self.silent = False  # it does not answer

    async def ask(self, method: str, *arguments: object) -> Any:
        if method == "drain":
            if self._leaves:
                await self.end(
                    ActorReport(phase=Phase.ENDED, pid=1, node="n", why="it was asked to stop")
                )
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
        """End with this last report, or die without one."""
        async with self._changed:
            self._dead, self._report = last is None, last or self._report
            self._changed.notify_all()

    async def fail_to_load(self, why: str) -> None:
        """End, because the definition can't be loaded."""
        await self.end(
            msgspec.structs.replace(
                self._report, phase=Phase.ENDED, why=why, crashed=True, unusable=True
            )
        )

    async def ask_for(self, asks: RayOptions) -> None:
        """End, because the step asks for something else than the actor was started with."""
        await self.end(
            msgspec.structs.replace(
                self._report, phase=Phase.ENDED, why="it is started again", asks=asks
            )
        )

    async def acquire(self) -> None:
        """Acquire the role that it is on standby for."""
        async with self._changed:
            self._report = msgspec.structs.replace(self._report, phase=Phase.RUNNING)
            self._changed.notify_all()


@dataclass
class FakeRegistry:
    """Fake actors by name, and a deployment."""

    target: Deployment
    holders: dict[str, FakeActor] = field(default_factory=dict[str, FakeActor])
    started: list[str] = field(default_factory=list[str])
    killed: list[FakeActor] = field(default_factory=list[FakeActor])
    broken: dict[str, Exception] = field(default_factory=dict[str, Exception])  # by method
    stubborn: set[str] = field(default_factory=set[str])  # actors that do not end when asked
    starting: set[str] = field(default_factory=set[str])  # actors that do not run yet
    full: bool = False  # no node has what an actor asks for
    unreadable: bool = False  # the store does not answer
    asked: dict[str, RayOptions] = field(default_factory=dict[str, RayOptions])  # by actor
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

    def start(self, wanted: Wanted, deployment: Deployment, asks: RayOptions) -> FakeActor:
        self._break(wanted.name)
        self.started.append(wanted.name)
        self.asked[wanted.name] = asks
        self.holders[wanted.name] = FakeActor(
            wanted.code,
            leaves=wanted.name not in self.stubborn,
            phase=self._first_phase(wanted, deployment),
        )
        self.holders[wanted.name].silent = self.full and asks != NOTHING
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

    async def left(self, name: str, actor: FakeActor | None) -> None:
        """Wait until the actor does not hold the name any more."""
        await until(lambda: self.holders.get(name) is not actor)

    async def refuses_a_read(self) -> None:
        """Wait until the store has refused one more read."""
        before = self.unread
        await until(lambda: self.unread > before)

    def _break(self, method: str) -> None:
        if method in self.broken:
            raise self.broken.pop(method)


def orders(shards: int = 1) -> DeployedWorkflow:
    groups = {"orders-1-consumer": shards, "outbox-publisher": 1}
    return DeployedWorkflow(
        name="orders",
        reference="shop:orders",
        statuses={"CREATED": 1},
        partitions=16,
        groups=groups,
    )


async def running(supervision: Supervision, *names: str) -> None:
    """Wait until these actors run."""
    assert all(one.is_running for one in await supervision.settled(names, wait=5.0))


def phases(supervision: Supervision) -> dict[str, str]:
    return {one.name: one.phase for one in supervision.status()}


async def until(condition: Callable[[], bool]) -> None:
    """Poll until the condition holds."""
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0)
