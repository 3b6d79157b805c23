"""Nothing is lost or doubled, whatever fails or dies in whatever order, even if the stream loses
events.
"""

import asyncio
import random
from collections.abc import Collection
from datetime import timedelta
from typing import Literal

import pytest

from tests.unit.bench import AtWork, Bench, triggered
from tests.unit.parcels import Parcel, Route, RoutedRun
from workflow_ray import Handle, Repeat, Retry, RunState, Workflow
from workflow_ray.engine.events import is_current
from workflow_ray.errors import RoleLost
from workflow_ray.records import PUBLISHER, SWEEPER, Role, Topic, consumer_group, status_topic
from workflow_ray.testing import FakeClock

HOUR = 3600.0
CONSUMED = (Route.NEW, Route.PACKED)
RETRY = Retry(attempts=1000, backoff=timedelta(milliseconds=100), factor=1.0)


def unreliable(rng: random.Random, clock: FakeClock) -> Workflow[Parcel, Route]:
    """Its steps take some time, and sometimes fail."""
    workflow = Workflow("routed", Parcel, Route)

    async def act(run: RoutedRun) -> None:
        await clock.wait(asyncio.Event(), rng.choice([0, 0.01, 0.1, 1, 10]))
        if rng.random() < 0.2:
            raise ValueError("broken")
        run.data.weight += 1

    @workflow.step(Route.NEW, retry=RETRY)
    async def pack(run: RoutedRun) -> Literal[Route.PACKED, Route.LOST]:
        await act(run)
        return Route.PACKED

    @workflow.step(Route.PACKED, retry=RETRY, max_in_flight=5)
    async def send(run: RoutedRun) -> Literal[Route.SENT] | Repeat:
        await act(run)
        return Route.SENT if rng.random() < 0.8 else Repeat(timedelta(seconds=1))

    return workflow


class Chaos:
    """The roles of a workflow. They die, stop, are abandoned, lose their fences, and change their
    shards.
    """

    def __init__(self, bench: Bench, rng: random.Random) -> None:
        self._bench = bench
        self._rng = rng
        self._at_work: dict[Role, AtWork] = {}
        self._losers: list[AtWork] = []
        self.made_again: set[tuple[Topic, int]] = set()  # partitions that lost their logs

    async def begin(self) -> None:
        for group in (PUBLISHER, SWEEPER, *map(group_of, CONSUMED)):
            await self._start(Role(group))

    async def strike(self) -> None:
        role = self._rng.choice(list(self._at_work))
        match self._rng.choice(
            [
                "die",
                "leave",
                "abandon",
                "lose",
                "hear of it",
                "rescale",
                "lost answer",
                "read only",
                "wait",
            ]
        ):
            case "die":
                await self._at_work[role].kill()
                await self._start(role)
            case "leave":
                self._at_work[role].stop.set()
                await self._bench.pass_time(
                    30
                )  # it may have to repeat a call whose answer was lost
                await self._at_work[role].task
                await self._start(role)
            case "abandon":
                self._at_work[role].stop.set()
                await self._bench.pass_time()
                self._at_work[role].task.cancel()
                await self._bench.pass_time(30)  # as above
                await asyncio.wait({self._at_work[role].task})
                await self._start(role)
            case "lose":
                self._losers.append(self._at_work[role])
                await self._start(role)
            case "hear of it":
                loser = self._at_work[role]
                await self._start(role)
                await loser.lose()
            case "rescale":
                await self._rescale(self._rng.choice(CONSUMED), self._rng.choice([1, 2, 3]))
            case "lost answer":
                self._bench.store.lose_answers += 1
            case "read only":
                self._bench.store.read_only = True
                await self._bench.pass_time(self._rng.choice([0.1, 1, 10]))
                self._bench.store.read_only = False
            case _:
                pass
        await self._bench.pass_time(self._rng.choice([0, 0.1, 1]))

    async def strike_stream(self) -> None:
        stream, topic = self._bench.stream, topic_of(self._rng.choice(CONSUMED))
        match self._rng.choice(
            ["lost answer", "fail", "recover", "swallow", "drop", "make again", "wait"]
        ):
            case "lost answer":
                stream.lose_answers += 1
            case "fail":
                stream.failing, stream.silence = (
                    set(self._rng.sample(range(16), 3)),
                    self._rng.choice([0, 3]),
                )
            case "recover":
                stream.failing = set()
            case "swallow":
                stream.swallow += self._rng.randrange(5)
            case "drop":
                await stream.drop(topic)
            case "make again":
                partition = self._rng.randrange(16)
                await stream.lose_tail(topic, partition)
                self.made_again.add((topic, partition))
            case _:
                pass

    async def end(self) -> None:
        """End the faults: what fails recovers, and nothing more is lost."""
        self._bench.stream.failing, self._bench.stream.swallow = set(), 0
        await self._bench.pass_time(seconds=HOUR)

    def check_losers(self) -> None:
        """A holder that has lost its role has ended by itself, or had nothing to write since."""
        assert all(
            isinstance(loser.task.exception(), RoleLost)
            for loser in self._losers
            if loser.task.done()
        )

    async def _start(self, role: Role) -> None:
        self._at_work[role] = await self._bench.start(role)

    async def _rescale(self, status: Route, shards: int) -> None:
        """Change the shard count. The old shards work until they notice that they are fenced."""
        group = group_of(status)
        current = [role for role in self._at_work if role.group == group]
        if len(current) == shards:
            return
        await self._bench.scale(status, shards=shards)
        self._losers += [self._at_work.pop(role) for role in current]
        for shard in range(1, shards + 1):
            await self._start(Role(group, shard, shards))


def group_of(status: Route) -> str:
    return consumer_group("routed", status.value)


def topic_of(status: Route) -> Topic:
    return status_topic("routed", status.value)


async def check_positions(bench: Bench, made_again: Collection[tuple[Topic, int]]) -> None:
    """Check that no position is above the last event of a run that still waits for it.

    Args:
        made_again: Partitions with a new log, in which older positions do not count.
    """
    for status in CONSUMED:
        positions, topic = await bench.position(status), topic_of(status)
        found = await bench.whole.receive(
            topic, dict.fromkeys(range(16), 0), reader="test", limit=100_000, wait=0
        )
        last = {(item.event.run_id, item.event.version): item for item in found.events}
        records = await bench.store.lookup([item.event.run_id for item in last.values()])
        for item, record in zip(last.values(), records, strict=True):
            partition = item.event.partition
            if (topic, partition) not in made_again and item.offset < positions.get(partition, 0):
                assert not is_current(item.event, record), f"{status}: {item}"


async def check_history(bench: Bench, handle: Handle[Parcel, Route]) -> None:
    run = await handle.get()
    history = await handle.history()
    assert (run.run_state, run.status) == (RunState.COMPLETED, Route.SENT)
    assert [entry.version for entry in history] == list(range(1, run.version + 1))
    assert [entry.status for entry in history].count(Route.SENT) == 1
    successes = sum(entry.data is not None for entry in history) - 1
    assert run.data.weight == successes, (
        "each attempt that was committed counts once, all others not at all"
    )


@pytest.mark.parametrize(
    "apart", [False, True], ids=["in one store", "with a stream apart that loses events"]
)
async def test_every_run_ends_with_each_version_once_and_no_position_skips_an_unfinished_event(
    rng: random.Random, apart: bool
) -> None:
    clock = FakeClock()
    workflow = unreliable(rng, clock)
    async with Bench(workflow, apart=apart, clock=clock) as bench:
        chaos = Chaos(bench, rng)
        await chaos.begin()
        handles = list[Handle[Parcel, Route]]()
        for turn in range(40):
            handles += (
                await triggered(bench, workflow, *(f"{turn}-{n}" for n in range(rng.randrange(4))))
            ).values()
            if apart:
                await chaos.strike_stream()
            await chaos.strike()
            await check_positions(bench, chaos.made_again)
        await chaos.end()
        chaos.check_losers()
        for handle in handles:
            await check_history(bench, handle)
