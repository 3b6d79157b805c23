"""How messages get into partitions: idempotently, once every replica in sync has them, and each lane for itself."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from workflow_ray.errors import StoreError, StoreUnavailable
from workflow_ray_adapters.kafka import wire
from workflow_ray_adapters.kafka.cluster import PAUSE, Cluster
from workflow_ray_adapters.kafka.wire import Fault, Identity, Lane, Message

_Box: TypeAlias = dict[Lane, tuple[bytes, "asyncio.Future[Fault | None]"]]


STRAGGLING = 1.0  # seconds that lanes have for themselves once others have their messages: whoever sends has more to send to those


@dataclass
class _Line:
    """Where a lane is in the sequence of its batches, by which brokers know a repeat."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # one batch at a time
    identity: Identity | None = None  # None: begin a new sequence, as another producer
    sequence: int = 0
    trouble: str = ""  # what the last try came to

    def advance(self, count: int) -> None:
        self.sequence, self.trouble = (self.sequence + count) % 2**31, ""


class Producer:
    """A lane that can't be sent to holds up no other; what several have for one broker at a time travels together."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._patience = cluster, cluster.address.timeout
        self._identity: Identity | None = None  # for lanes that begin a sequence; never one that a lane has had before
        self._lines = defaultdict[Lane, _Line](_Line)
        self._boxes = defaultdict[int, _Box](dict)  # of each broker what goes to it next
        self._tasks = set[asyncio.Task[None]]()

    async def send(self, messages: Mapping[Lane, Sequence[Message]]) -> dict[Lane, str]:
        """Append them, in order within a lane. Answers of which lanes it is unknown whether they have theirs, and why."""
        tasks = {asyncio.create_task(self._deliver(lane, batch)): lane for lane, batch in messages.items()}
        try:
            late = await _late(tasks)
        finally:
            for task in tasks:
                task.cancel()
        if late:
            await asyncio.wait(late)  # until their lanes are free
        return {lane: why for task, lane in tasks.items() if (why := self._given_up(lane) if task in late else task.result())}

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _given_up(self, lane: Lane) -> str:
        return f"no answer for {STRAGGLING:g} s after others had theirs. {self._lines[lane].trouble}".strip()

    async def _deliver(self, lane: Lane, messages: Sequence[Message]) -> str | None:
        """None: they are in. Else why that is unknown."""
        line = self._lines[lane]
        try:
            async with asyncio.timeout(self._patience), line.lock:
                try:
                    while messages:
                        messages = messages[await self._append(lane, line, messages) :]
                except BaseException:
                    self._spoil(line)  # its last batch may be in or not
                    raise
        except TimeoutError:
            return f"no answer within {self._patience:g} s. {line.trouble}".strip()
        except StoreError as error:
            return error.why
        return None

    async def _append(self, lane: Lane, line: _Line, messages: Sequence[Message]) -> int:
        """How many of them are in: as many as a batch holds. Tries until it is cancelled. Raises StoreError where that is in vain."""
        batch, count = b"", 0
        while True:
            try:
                if line.identity is None:
                    line.identity, line.sequence, batch = await self._fresh_identity(), 0, b""
                if not batch:
                    batch, count = wire.batch_of(messages, line.identity, line.sequence)
                fault = await self._post(await self._leader(lane), lane, batch)
            except StoreUnavailable as error:
                line.trouble = error.why
            else:
                if fault is None or fault.code == wire.DUPLICATE:
                    line.advance(count)
                    return count
                self._note(line, fault)
            await asyncio.sleep(PAUSE)
            with suppress(StoreUnavailable):
                await self._cluster.learn([lane[0]])

    def _note(self, line: _Line, fault: Fault) -> None:
        """Raises StoreError where trying again is in vain."""
        if fault.code in wire.PRODUCER_SPOILED:
            self._spoil(line)
        elif not fault.retriable:
            raise StoreError(self._cluster.where, fault.why)
        line.trouble = fault.why

    def _spoil(self, line: _Line) -> None:
        line.identity = self._identity = None

    async def _fresh_identity(self) -> Identity:
        if self._identity is None:
            answer = await self._cluster.ask_any(wire.new_identity())
            if isinstance(answer, Fault):
                raise StoreUnavailable(self._cluster.where, answer.why)
            self._identity = answer
        return self._identity

    async def _leader(self, lane: Lane) -> int:
        """Raises StoreError: there is none, as the brokers say."""
        topic, partition = lane
        leader = self._cluster.partitions(topic).get(partition)
        if leader is None:
            await self._cluster.learn([topic])
            leader = self._cluster.partitions(topic).get(partition)
        if leader is None:
            raise StoreError(self._cluster.where, self._cluster.fault(topic, partition))
        return leader

    # --- what lanes have for one broker ----------------------------------------------------------

    async def _post(self, node: int, lane: Lane, batch: bytes) -> Fault | None:
        """The broker's answer to the batch. Raises StoreUnavailable: it is unknown."""
        loop = asyncio.get_running_loop()
        if not self._boxes[node]:
            loop.call_soon(self._dispatch, node)  # once the other lanes have had their turn
        answer: asyncio.Future[Fault | None] = loop.create_future()
        self._boxes[node][lane] = batch, answer
        return await answer

    def _dispatch(self, node: int) -> None:
        task = asyncio.create_task(self._carry(node, self._boxes.pop(node)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, node: int, box: _Box) -> None:
        try:
            call = wire.produce({lane: batch for lane, (batch, _) in box.items()}, seconds=self._patience)
            faults = await self._cluster.ask(node, call)
        except StoreError as error:
            for _, answer in box.values():
                if not answer.done():
                    answer.set_exception(error)
        else:
            for lane, (_, answer) in box.items():
                if not answer.done():
                    answer.set_result(faults.get(lane))
        finally:
            for _, answer in box.values():
                answer.cancel()


async def _late(tasks: Collection["asyncio.Task[str | None]"]) -> set["asyncio.Task[str | None]"]:
    """Wait for deliveries. Answers those that are given up."""
    late, arrived = set(tasks), False
    while late and not arrived:
        done, late = await asyncio.wait(late, return_when=asyncio.FIRST_COMPLETED)
        arrived = any(task.result() is None for task in done)
    return (await asyncio.wait(late, timeout=STRAGGLING))[1] if late else late
