"""Reads the log files of all nodes of a Ray cluster, by a reader on each node."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from workflow_ray.runtime.ray import cluster
from workflow_ray.runtime.ray.actors import ray, this_node
from workflow_ray.runtime.ray.log_reader import Entry, LogReader, by_time

PATIENCE = 20.0
"""Seconds for a reader to start and to answer."""


class Reader(Protocol):
    """Calls a LogReader, here or on another node."""

    async def ask(self, method: str, *arguments: object) -> Any:
        """Call a method of the LogReader. Raises NodeSilent."""
        ...


class NodeSilent(Exception):
    """The reader of a node does not answer."""


@dataclass(frozen=True)
class _Here:
    reader: LogReader

    async def ask(self, method: str, *arguments: object) -> Any:
        return await asyncio.to_thread(getattr(self.reader, method), *arguments)


@dataclass(frozen=True)
class _There:
    """Calls an actor, which ends with this process."""

    node: str
    actor: Any

    async def ask(self, method: str, *arguments: object) -> Any:
        try:
            async with asyncio.timeout(PATIENCE):
                return await getattr(self.actor, method).remote(*arguments)
        except (RayError, TimeoutError) as error:
            raise NodeSilent(self.node) from error


@dataclass
class NodeLogs:
    """Reads the logs of all nodes.

    Attributes:
        readers: One for each node.
        silent: Ray's ids of the nodes that did not answer. They are not asked again.
    """

    readers: list[Reader]
    silent: set[str] = field(default_factory=set[str])

    async def leave_out_shared(self) -> None:
        """Keep one reader for each folder that several nodes share by a file server."""
        seen = set[str]()
        for reader, folder in await self._answers("identity"):
            if folder and folder in seen:
                self.readers.remove(reader)
            seen.add(folder)

    async def actors(self) -> list[str]:
        """Return the names of the actors that have a log file. Some may have ended."""
        found = await self._answers("actors")
        return sorted({name for _, names in found for name in names})

    async def last(self, names: Collection[str], limit: int) -> list[Entry]:
        """Read the last entries of these actors by time, up to `limit` in all."""
        entries = await self._entries("last", list(names), limit)
        return entries[-limit:] if limit else []

    async def added(self, names: Collection[str]) -> list[Entry]:
        """Read the entries that were added since the last call, by time."""
        return await self._entries("added", list(names))

    async def _entries(self, method: str, *arguments: object) -> list[Entry]:
        found = await self._answers(method, *arguments)
        return by_time(Entry(*entry) for _, entries in found for entry in entries)

    async def _answers(self, method: str, *arguments: object) -> list[tuple[Reader, Any]]:
        """Ask each reader. A reader that does not answer is removed."""

        async def answer(reader: Reader) -> tuple[Reader, Any] | None:
            try:
                return reader, await reader.ask(method, *arguments)
            except NodeSilent as error:
                self.silent.add(str(error))
                self.readers.remove(reader)
                return None

        answers = await asyncio.gather(*map(answer, list(self.readers)))
        return [found for found in answers if found is not None]


def logs_here(folder: str) -> NodeLogs:
    """Read the logs of this machine only. Ray need not run."""
    return NodeLogs([_Here(LogReader(folder))])


async def logs_of_cluster(folder: str) -> NodeLogs:
    """Read the logs of all nodes of the cluster that this process is connected to."""
    logs = NodeLogs(readers_of_cluster(folder))
    await logs.leave_out_shared()
    return logs


def readers_of_cluster(folder: str) -> list[Reader]:
    """Start a reader of the folder on each node. The one of this node comes first."""
    here = this_node()
    nodes: Sequence[str] = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    others: list[Reader] = [_reader_on(node, folder) for node in nodes if node != here]
    return [_Here(LogReader(folder)), *others]


async def is_on_ray() -> bool:
    """Connect to the cluster, if there is one. Returns whether there is one."""
    if not cluster.exists(None):
        return False
    await asyncio.to_thread(cluster.connect, None)
    return True


def _reader_on(node: str, folder: str) -> _There:
    options: dict[str, Any] = {
        "num_cpus": 0,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False),
    }
    return _There(node, ray.remote(LogReader).options(**options).remote(folder))
