"""A store whose waits a test can see. `python serving.py SOCKET` serves one."""

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence

from workflow_ray.ports import SystemClock
from workflow_ray.records import Event, GroupResult, Record, RunId, Topic, Version, WriteGroup
from workflow_ray.runtime.ipc import About, IpcServer
from workflow_ray_adapters.memory import MemoryStore

TOPIC = Topic("orders-1")
LAG = 42
SERVED = About(store_id="s", stream_id="s", moves=True, trims=True)


class VisibleStore(MemoryStore):
    """A store that answers `lag` with LAG at once, never ends `watch`, and ends `store` once
    `written` is set. `sent` counts the calls of `send`.
    """

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.written = asyncio.Event()
        self.blocked = 0
        self.cancelled = 0
        self.sent = 0

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return LAG

    async def send(self, events: Sequence[Event]) -> None:
        self.sent += 1

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        await self._wait(self.written)
        return []

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        await self._wait(asyncio.Event())
        return []

    async def _wait(self, event: asyncio.Event) -> None:
        self.blocked += 1
        try:
            await event.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.blocked -= 1


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; pytest's timeout bounds it."""
    while not condition():
        await asyncio.sleep(0.001)


async def serve(path: str) -> None:
    async with IpcServer(VisibleStore()) as server:
        await server.start(path)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
