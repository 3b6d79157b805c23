"""A workflow whose roles a test starts, stops and kills one by one, on stores that fail when told to."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel

from tests.unit.parcels import Parcel
from workflow_ray import Client, Handle, Status, Workflow
from workflow_ray.errors import SendFailed, StoreUnavailable, WriteRejected
from workflow_ray.ports import Clock, Store
from workflow_ray.records import (
    PUBLISHER,
    SWEEPER,
    Cause,
    Event,
    GroupResult,
    Received,
    Role,
    RunId,
    RunState,
    Topic,
    Write,
    WriteGroup,
    consumer_group,
    new_write_id,
)
from workflow_ray.runtime.hosting import deployed_here, merge, play
from workflow_ray.runtime.mixed import mixed
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class FaultyStore(MemoryStore):
    """ports.Store as the memory adapter has it, but for what a test breaks."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.groups: list[WriteGroup] = []  # as they were sent, repeats too
        self.lose_answers = 0  # so many of the next ones to roles
        self.lose_answers_to_clients = 0
        self.rejected: Callable[[Write], bool] = lambda write: False

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        if any(self.rejected(write) for group in groups for write in group.writes):
            raise WriteRejected("it doesn't fit")
        answers = await super().store(groups)
        self.groups += groups
        self._lose(to_role=any(group.fence for group in groups))
        return answers

    def _lose(self, *, to_role: bool) -> None:
        if to_role and self.lose_answers:
            self.lose_answers -= 1
        elif not to_role and self.lose_answers_to_clients:
            self.lose_answers_to_clients -= 1
        else:
            return
        raise StoreUnavailable("the store", "the connection broke after the commit")


class FaultyStream(MemoryStore):
    """The events alone, some of whose partitions can't be sent to, and which loses what it has acknowledged."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.failing: set[int] = set()  # partitions
        self.silence = 0.0  # seconds until a send to such a partition fails
        self.lose_answers = 0  # so many of the next sends arrive, but their sender isn't told
        self.away = False  # so that its ends can't be told
        self.swallow = 0  # so many of the next events are acknowledged and don't arrive
        self.attempts = Counter[int]()  # of each partition, to send there
        self._starts: dict[tuple[Topic, int], int] = {}

    async def send(self, events: Sequence[Event]) -> None:
        self.attempts.update({event.partition for event in events})
        arriving = [event for event in events if event.partition not in self.failing]
        lost = min(self.swallow, len(arriving))
        self.swallow -= lost
        await super().send(arriving[lost:])
        if failed := {(event.topic, event.partition) for event in events} - {(event.topic, event.partition) for event in arriving}:
            await self._clock.wait(asyncio.Event(), self.silence)
            raise SendFailed("the stream", "a partition has no leader", sorted(failed))
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreUnavailable("the stream", "the connection broke after the send")

    async def drop(self, topic: Topic) -> None:
        """What retention does: the events that are there by now can't be had any more."""
        self._starts |= {(topic, partition): end for partition, end in (await self.ends(topic, range(16))).items()}

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        if self.away:
            raise StoreUnavailable("the stream", "nobody answers")
        return await super().ends(topic, partitions)

    async def receive(self, topic: Topic, offsets: Mapping[int, int], *, limit: int, wait: float) -> list[Received]:
        return await super().receive(topic, self._retained(topic, offsets), limit=limit, wait=wait)

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return await super().lag(topic, self._retained(topic, offsets))

    def _retained(self, topic: Topic, offsets: Mapping[int, int]) -> dict[int, int]:
        return {partition: max(offset, self._starts.get((topic, partition), 0)) for partition, offset in offsets.items()}


class Played:
    """A role at work, as a task."""

    def __init__(self, role: Role, task: asyncio.Task[None], stop: asyncio.Event) -> None:
        self.role, self.task, self.stop = role, task, stop

    async def leave(self) -> None:
        """Stop it and wait until it has gone. Raises what it died of."""
        self.stop.set()
        await self.task

    async def kill(self) -> None:
        """What a dying process does to it: nothing more happens, nothing is released."""
        self.task.cancel()
        await asyncio.wait({self.task})


class Bench:
    """One workflow under a fake clock. With `apart` the stream is kept in another store than the records."""

    def __init__(self, workflow: Workflow[Any, Any], *, apart: bool = False, clock: FakeClock | None = None) -> None:
        self.workflow = workflow
        self.clock = clock or FakeClock()
        self.store = FaultyStore(self.clock)
        self.stream = FaultyStream(self.clock)  # used with `apart` only
        self.whole: Store = mixed(self.store, self.stream, None) if apart else self.store
        self._played: list[Played] = []

    async def __aenter__(self) -> Self:
        await merge(self.whole, [deployed_here(self.workflow)])
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for played in self._played:
            await played.kill()

    def client(self, workflow: Workflow[D, S]) -> Client[D, S]:
        return Client(workflow, self.store, self.clock)

    async def publisher(self) -> Played:
        return await self._play(Role(PUBLISHER))

    async def consumer(self, status: Status) -> Played:
        return await self._play(Role(consumer_group(self.workflow.name, status.value)))

    async def sweeper(self) -> Played:
        return await self._play(Role(SWEEPER))

    async def pass_time(self, seconds: float = 0.0) -> None:
        """Let all run that can, and time pass."""
        await self.clock.advance(timedelta(seconds=seconds))

    async def causes(self, run_id: RunId) -> list[Cause]:
        return [entry.cause for entry in await self.store.history(run_id)]

    async def position(self, status: Status) -> dict[int, int]:
        """The offset of each partition that has one."""
        positions = await self.whole.positions(consumer_group(self.workflow.name, status.value))
        return {position.partition: position.offset for position in positions}

    async def cancel_from_outside(self, run_id: RunId) -> None:
        """What a client's cancel does: a write of somebody else, between a step's start and its end."""
        (record,) = await self.store.lookup([run_id])
        assert record
        write = Write(
            run_id=run_id,
            write_id=new_write_id(),
            expected=record.version,
            status=record.status,
            run_state=RunState.CANCELLED,
            visit=record.visit,
            cause=Cause.CANCEL,
            by="client",
        )
        await self.store.store([WriteGroup(writes=(write,))])

    async def _play(self, role: Role) -> Played:
        stop = asyncio.Event()
        played = Played(role, asyncio.create_task(self._work(role, stop), name=role.name), stop)
        self._played.append(played)
        await self.clock.settle()
        return played

    async def _work(self, role: Role, stop: asyncio.Event) -> None:
        taken = await self.whole.take(role)
        if await play(role, taken, [self.workflow], self.whole, self.clock, stop):
            await self.whole.release(taken.fence)


async def triggered(bench: Bench, workflow: Workflow[Parcel, S], *foreign_ids: str) -> dict[str, Handle[Parcel, S]]:
    """New runs, by foreign id."""
    return {foreign_id: await bench.client(workflow).trigger(foreign_id, Parcel()) for foreign_id in foreign_ids}
