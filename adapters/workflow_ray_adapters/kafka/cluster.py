"""The brokers of a cluster: which of them leads a partition, and connections to them."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from workflow_ray.errors import AccessDenied, StoreError, StoreUnavailable
from workflow_ray_adapters.kafka import wire
from workflow_ray_adapters.kafka.address import Address, Server
from workflow_ray_adapters.kafka.connection import Connection
from workflow_ray_adapters.kafka.wire import Call, Fault

T = TypeVar("T")

SETTLING, PAUSE = 1.0, 0.1  # seconds that a change of leaders may take, and between looks
STAGGER = 0.5  # seconds that a broker has to say who leads what, until another is asked beside it
OPENING = 3.0  # seconds in which a cluster must be found: a command has to say within five that it is not
CLOSING = 1.0  # seconds in which sockets should be gone


class Cluster:
    """A connection answers one call at a time, as brokers do; a long poll has one of its own. Idle ones are used again."""

    def __init__(self, address: Address) -> None:
        self.address, self.where = address, address.canonical
        self.cluster_id = ""
        self.controller = -1
        self._ssl_context = address.ssl_context()
        self._servers: Mapping[int, Server] = {}
        self._topics: dict[str, Mapping[int, int | None]] = {}
        self._faults: dict[str, Fault] = {}
        self._open = set[Connection]()
        self._idle = defaultdict[Server, list[Connection]](list)
        self._closing = set[asyncio.Future[None]]()
        self._learning: asyncio.Task[None] | None = None
        self._learning_of = frozenset[str]()
        self._tasks = set[asyncio.Task[None]]()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["Cluster"]:
        """Raises StoreUnavailable, AccessDenied, within five seconds."""
        try:
            await self._learn((), within=min(self.address.timeout, OPENING))
            yield self
        finally:
            for task in self._tasks:
                task.cancel()
            for connection in list(self._open):
                self._drop(connection)
            if self._closing:
                await asyncio.wait(self._closing, timeout=CLOSING)

    # --- who leads what --------------------------------------------------------------------------

    def partitions(self, topic: str) -> Mapping[int, int | None]:
        """Of each of the topic's partitions the broker that leads it, as learned last. None: it has no leader."""
        return self._topics.get(topic, {})

    def fault(self, topic: str, partition: int) -> str:
        """Why the partition has no leader."""
        if self.partitions(topic):
            lacks = "has no leader now" if partition in self._topics[topic] else "isn't there: the topic has fewer"
            return f"partition {partition} of topic {topic} {lacks}."
        fault = self._faults.get(topic)
        if fault and fault.code != wire.UNKNOWN_TOPIC:
            return f"topic {topic} can't be used ({fault.why})."
        return f"topic {topic} isn't there. Make it; a workflow's own are made by a deploy."

    def by_leader(self, topic: str, partitions: Collection[int]) -> tuple[dict[int, list[int]], dict[int, str]]:
        """The partitions of each broker that leads some, and why the others have no leader."""
        led, faults = defaultdict[int, list[int]](list), dict[int, str]()
        leaders = self.partitions(topic)
        for partition in partitions:
            leader = leaders.get(partition)
            if leader is None:
                faults[partition] = self.fault(topic, partition)
            else:
                led[leader].append(partition)
        return led, faults

    async def learn(self, topics: Collection[str]) -> None:
        """Ask who leads what. Raises StoreUnavailable, AccessDenied."""
        await asyncio.shield(self.learning(topics))

    def learning(self, topics: Collection[str]) -> "asyncio.Task[None]":
        """`learn` under way; shared by those who ask while it is."""
        if self._learning is None or not self._learning_of.issuperset(topics):
            self._learning_of = frozenset({*self._topics, *topics})
            self._learning = asyncio.create_task(self._learn(self._learning_of))
            self._tasks.add(self._learning)
            self._learning.add_done_callback(self._learned)
        return self._learning

    async def _learn(self, topics: Collection[str], *, within: float | None = None) -> None:
        found = await self.ask_any(wire.metadata(topics), within=within)
        self.cluster_id, self.controller, self._servers = found.cluster_id, found.controller, found.servers or self._servers
        self._topics |= {topic: found.topics.get(topic, {}) for topic in topics}
        self._faults = {**self._faults, **found.faults}

    def _learned(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if self._learning is task:
            self._learning = None
        if not task.cancelled():
            task.exception()  # told to those who wait, if there are any

    async def settled(self, call: Callable[[], Awaitable[T]]) -> T:
        """The call's answer, asked for again where it raises StoreUnavailable, for a moment in which leaders may change."""
        until = asyncio.get_running_loop().time() + SETTLING
        while True:
            try:
                return await call()
            except StoreUnavailable:
                if asyncio.get_running_loop().time() > until:
                    raise
            await asyncio.sleep(PAUSE)

    # --- asking ----------------------------------------------------------------------------------

    async def ask(self, node: int, call: Call[T]) -> T:
        """The broker's answer. Raises StoreUnavailable: the outcome is unknown; AccessDenied."""
        server = self._servers.get(node)
        if server is None:
            raise StoreUnavailable(self.where, f"broker {node} isn't known to the others now.")
        return await self._ask(server, call)

    async def ask_any(self, call: Call[T], *, within: float | None = None) -> T:
        """The first answer that any broker gives, `within` seconds. Raises what the last one to fail came to."""
        seconds = self.address.timeout if within is None else within
        servers = list({*self._servers.values(), *self.address.servers})
        random.shuffle(servers)
        errors, tasks = list[StoreError](), set[asyncio.Task[T]]()
        try:
            async with asyncio.timeout(seconds):
                while servers or tasks:
                    if servers:
                        tasks.add(asyncio.create_task(self._ask(servers.pop(), call)))
                    done, tasks = await asyncio.wait(tasks, timeout=STAGGER if servers else None, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        try:
                            return task.result()
                        except StoreError as error:
                            errors.append(error)
        except TimeoutError:
            errors.append(StoreUnavailable(self.where, f"no broker answers within {seconds:g} s."))
        finally:
            for task in tasks:
                task.cancel()
        raise next((error for error in errors if isinstance(error, AccessDenied)), errors[-1])

    async def _ask(self, server: Server, call: Call[T]) -> T:
        connection = await self._connected(server)
        try:
            answer = await connection.ask(call)
        except BaseException:
            self._drop(connection)
            raise
        self._idle[server].append(connection)
        return answer

    async def _connected(self, server: Server) -> Connection:
        while idle := self._idle[server]:
            if (connection := idle.pop()).usable:
                return connection
            self._drop(connection)
        connection = Connection(self.address, server, self._ssl_context)
        self._open.add(connection)
        try:
            await connection.open()
        except BaseException:
            self._drop(connection)
            raise
        return connection

    def _drop(self, connection: Connection) -> None:
        self._open.discard(connection)
        if closed := connection.close():
            self._closing.add(closed)
            closed.add_done_callback(self._closing.discard)
