"""A workflow whose roles a test starts, stops and kills one by one, on stores that fail when asked
to.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from pydantic import BaseModel

from tests.unit.parcels import Parcel
from workflow_ray import Client, Handle, Status, Workflow
from workflow_ray.errors import SendFailed, StoreReadOnly, StoreUnavailable, WriteRejected
from workflow_ray.ports import Clock, Store
from workflow_ray.records import (
    PUBLISHER,
    SWEEPER,
    Arrivals,
    Awaits,
    Cause,
    Event,
    Fence,
    GroupResult,
    Position,
    Role,
    RunId,
    RunState,
    Topic,
    Write,
    WriteGroup,
    consumer_group,
    new_write_id,
    status_topic,
)
from workflow_ray.roles.observation import Observation
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.hosting import run_role
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
        self.read_only = False  # as a server during a failover
        self.away = False  # so that groups can't be stored, nor positions read
        self.rejected: Callable[[Write], bool] = lambda write: False

    async def positions(self, group: str) -> list[Position]:
        if self.away:
            raise StoreUnavailable("the store", "nobody answers")
        return await super().positions(group)

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        if self.away:
            raise StoreUnavailable("the store", "nobody answers")
        if self.read_only:
            raise StoreReadOnly("the store", "it fails over")
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
    """The events alone, some of whose partitions can't be sent to, and which loses what it has
    acknowledged.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.failing: set[int] = set()  # partitions
        self.silence = 0.0  # seconds until a send to such a partition fails
        self.lose_answers = 0  # so many of the next sends arrive, but their sender gets no answer
        self.away = False  # so that its ends can't be read
        self.swallow = 0  # so many of the next events are acknowledged and don't arrive
        self.attempts = Counter[int]()  # of each partition, to send there
        self.arrived: list[Event] = []  # all that ever did
        self._starts: dict[tuple[Topic, int], int] = {}
        # messages of others at the end of a partition
        self._foreign: dict[tuple[Topic, int], int] = {}
        self._cut_off: dict[tuple[Topic, int], int] = {}  # events of its beginning that are gone

    async def send(self, events: Sequence[Event]) -> None:
        self.attempts.update({event.partition for event in events})
        arriving = [event for event in events if event.partition not in self.failing]
        lost = min(self.swallow, len(arriving))
        self.swallow -= lost
        for event in arriving[lost:]:
            self._pass_foreign(event.topic, event.partition)
        await super().send(arriving[lost:])
        self.arrived += arriving[lost:]
        if failed := {(event.topic, event.partition) for event in events} - {
            (event.topic, event.partition) for event in arriving
        }:
            await self._clock.wait(asyncio.Event(), self.silence)
            raise SendFailed("the stream", "a partition has no leader", sorted(failed))
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreUnavailable("the stream", "the connection broke after the send")

    async def drop(self, topic: Topic) -> None:
        """What retention does: the events that are there by now can't be had any more."""
        self._starts |= {
            (topic, partition): end
            for partition, end in (await self.ends(topic, range(16))).items()
        }

    async def lose_tail(self, topic: Topic, partition: int) -> None:
        """The log of that partition is made again, empty."""
        inner = await super().ends(topic, [partition])
        self._cut_off[topic, partition] = inner[partition]
        self._foreign.pop((topic, partition), None)
        self._starts.pop((topic, partition), None)

    def add_foreign(self, topic: Topic, partition: int, count: int = 1) -> None:
        """Messages of somebody else, behind all events that are there."""
        self._foreign[topic, partition] = self._foreign.get((topic, partition), 0) + count

    def _pass_foreign(self, topic: Topic, partition: int) -> None:
        """An event is to follow them: count offsets, also of events before them, further on."""
        self._cut_off[topic, partition] = self._gone(topic, partition) - self._foreign.pop(
            (topic, partition), 0
        )

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        if self.away:
            raise StoreUnavailable("the stream", "nobody answers")
        return await self._ends(topic, partitions)

    async def receive(
        self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Arrivals:
        ends = await self._ends(topic, list(offsets))
        lost = {number: ends[number] for number, offset in offsets.items() if offset > ends[number]}
        inner = {
            number: offset
            for number, offset in self._inner(topic, offsets).items()
            if number not in lost
        }
        found = await super().receive(
            topic, inner, reader=reader, limit=limit, wait=0.0 if lost else wait
        )
        events = tuple(
            msgspec.structs.replace(
                item, offset=item.offset - self._gone(topic, item.event.partition)
            )
            for item in found.events
        )
        read = {
            number: self._read_up_to(topic, number, offset) for number, offset in found.read.items()
        }
        return Arrivals(events=events, read=read, lost=lost)

    async def trim(
        self, fence: Fence, topic: Topic, offsets: Mapping[int, int], *, limit: int
    ) -> int:
        return 0  # tests look at all that was ever sent

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        ends = await self.ends(topic, list(offsets))
        starts = {
            number: max(offset, self._starts.get((topic, number), 0))
            for number, offset in offsets.items()
        }
        return sum(max(0, ends[number] - start) for number, start in starts.items())

    async def _ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        inner = await super().ends(topic, partitions)
        return {
            number: end - self._gone(topic, number) + self._foreign.get((topic, number), 0)
            for number, end in inner.items()
        }

    def _gone(self, topic: Topic, partition: int) -> int:
        return self._cut_off.get((topic, partition), 0)

    def _inner(self, topic: Topic, offsets: Mapping[int, int]) -> dict[int, int]:
        """The offsets in the log beneath, which never loses anything, and knows no messages of
        others.
        """
        starts = {number: self._starts.get((topic, number), 0) for number in offsets}
        ends = {number: self._contents.stream.end(topic, number) for number in offsets}
        inner = {
            number: max(offset + self._gone(topic, number), starts[number])
            for number, offset in offsets.items()
        }
        return {number: min(offset, ends[number]) for number, offset in inner.items()}

    def _read_up_to(self, topic: Topic, number: int, inner: int) -> int:
        """Whoever has come to the end of the log beneath has passed the messages of others too."""
        foreign = (
            self._foreign.get((topic, number), 0)
            if inner >= self._contents.stream.end(topic, number)
            else 0
        )
        return inner - self._gone(topic, number) + foreign


class AtWork:
    """A role at work, as a task."""

    task: asyncio.Task[None]

    def __init__(self, role: Role, stop: asyncio.Event) -> None:
        self.role = role
        self.stop = stop
        self.lost = False

    async def leave(self) -> None:
        """Stop it and wait until it has gone. Raises what it died of."""
        self.stop.set()
        await self.task

    async def abandon(self) -> None:
        """Stop it without time left, and release its role: an orderly stop past its deadline."""
        self.stop.set()
        await asyncio.sleep(0)
        self.task.cancel()
        await asyncio.wait({self.task})

    async def lose(self) -> None:
        """End it because another holds its role, as a worker does; it is released."""
        self.lost = True
        await self.kill()

    async def kill(self) -> None:
        """What a dying process does to it: nothing more happens, nothing is released."""
        self.task.cancel()
        await asyncio.wait({self.task})


class Bench:
    """One workflow under a fake clock.

    With `apart` the stream is kept in another store than the records.
    """

    def __init__(
        self, workflow: Workflow[Any, Any], *, apart: bool = False, clock: FakeClock | None = None
    ) -> None:
        self.workflow = workflow
        self.clock = clock or FakeClock()
        self.store = FaultyStore(self.clock)
        self.stream = FaultyStream(self.clock)  # used with `apart` only
        self.observation = Observation()
        self.whole: Store = mixed(self.store, self.stream, None) if apart else self.store
        self._at_work: list[AtWork] = []

    async def __aenter__(self) -> Self:
        await merge(self.whole, [describe_here(self.workflow)])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for at_work in self._at_work:
            await at_work.kill()

    def client(self, workflow: Workflow[D, S]) -> Client[D, S]:
        return Client(workflow, self.store, self.clock)

    async def publisher(self) -> AtWork:
        return await self.start(Role(PUBLISHER))

    async def consumer(self, status: Status) -> AtWork:
        return await self.start(Role(consumer_group(self.workflow.name, status.value)))

    async def sweeper(self) -> AtWork:
        return await self.start(Role(SWEEPER))

    async def pass_time(self, seconds: float = 0.0) -> None:
        """Let all run that can, and time pass."""
        await self.clock.advance(timedelta(seconds=seconds))

    async def causes(self, run_id: RunId) -> list[Cause]:
        return [entry.cause for entry in await self.store.history(run_id)]

    async def position(self, status: Status) -> dict[int, int]:
        """The offset of each partition that has one."""
        return {row.partition: row.offset for row in await self.rows(status) if row.offset}

    async def rows(self, status: Status) -> list[Position]:
        """The rows of all partitions that were ever claimed."""
        return await self.whole.positions(consumer_group(self.workflow.name, status.value))

    async def ends(self, status: Status) -> list[int]:
        """The end of each partition's log."""
        ends = await self.whole.ends(
            status_topic(self.workflow.name, status.value), range(self.workflow.partitions)
        )
        return [end for _, end in sorted(ends.items())]

    async def partition(self, run_id: RunId) -> int:
        (record,) = await self.store.lookup([run_id])
        assert record
        return record.partition

    async def scale(self, status: Status, *, shards: int) -> None:
        """Have so many roles share a status; the former ones are fenced off."""
        current, group = (
            await self.whole.deployment(),
            consumer_group(self.workflow.name, status.value),
        )
        scaled = [
            msgspec.structs.replace(workflow, scaled={**workflow.scaled, group: shards})
            for workflow in current.workflows
        ]
        await self.whole.deploy(current.version, scaled)

    async def received(self, status: Status) -> list[Event]:
        """All events of the status that the stream holds."""
        topic, partitions = (
            status_topic(self.workflow.name, status.value),
            range(self.workflow.partitions),
        )
        arrivals = await self.whole.receive(
            topic, dict.fromkeys(partitions, 0), reader="test", limit=100_000, wait=0
        )
        return [item.event for item in arrivals.events]

    async def cancel_from_outside(self, run_id: RunId) -> None:
        """What a client's cancel does: a write of somebody else, between a step's start and its
        end.
        """
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
            awaits=Awaits.NOBODY,
        )
        await self.store.store([WriteGroup(writes=(write,))])

    async def start(self, role: Role, fence: Fence | None = None) -> AtWork:
        """Run a role; with a fence, as whoever acquired it before."""
        stop = asyncio.Event()
        at_work = AtWork(role, stop)
        at_work.task = asyncio.create_task(self._work(at_work, fence), name=role.name)
        self._at_work.append(at_work)
        await self.clock.settle()
        return at_work

    async def _work(self, at_work: AtWork, acquired: Fence | None) -> None:
        """As a worker runs a role: it is released whatever it ends of, unless its process dies."""
        fence = acquired or await self.whole.acquire(at_work.role)
        try:
            await run_role(
                at_work.role,
                fence,
                [self.workflow],
                self.whole,
                self.clock,
                at_work.stop,
                observation=self.observation,
            )
        finally:
            if at_work.stop.is_set() or at_work.lost or not _killed():
                await self.whole.release(fence)


def _killed() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def triggered(
    bench: Bench, workflow: Workflow[Parcel, S], *foreign_ids: str
) -> dict[str, Handle[Parcel, S]]:
    """New runs, by foreign id."""
    return {
        foreign_id: await bench.client(workflow).trigger(foreign_id, Parcel())
        for foreign_id in foreign_ids
    }
