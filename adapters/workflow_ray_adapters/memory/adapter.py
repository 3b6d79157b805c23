"""`memory://NAME`: one store per name, kept while this process lives."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import ClassVar

from workflow_ray.errors import InvalidInput, StoreInUse, StoreMismatch, StoreMissing
from workflow_ray.ports import Clock, OpenStore, Store
from workflow_ray_adapters.memory.hints import Hints
from workflow_ray_adapters.memory.store import Contents, MemoryStore


class MemoryAdapter:
    """ports.Adapter for stores that live and end with this process. A name is asked for, so that two callers can share one."""

    _stores: ClassVar[dict[str, Contents]] = {}
    _served: ClassVar[set[str]] = set()  # the stores that somebody has open exclusively
    _left: ClassVar[Hints[str]] = Hints()

    def canonical(self, url: str) -> str:
        name = url.partition(":")[2].strip("/")
        if not name:
            raise InvalidInput(url, "a store in memory needs a name, as in memory://shop")
        return f"memory://{name}"

    def create(self, url: str) -> str:
        return self._stores.setdefault(self.canonical(url), Contents()).store_id

    def open(self, url: str, *, clock: Clock, store_id: str | None = None, exclusive: bool = True, patience: float = 5.0) -> OpenStore:
        url = self.canonical(url)
        return self._serve(url, clock, store_id, patience) if exclusive else self._join(url, clock, store_id)

    @asynccontextmanager
    async def _serve(self, url: str, clock: Clock, store_id: str | None, patience: float) -> AsyncGenerator[Store]:
        if not await self._left.poll([url], lambda: url not in self._served, clock=clock, wait=patience):
            raise StoreInUse(url, f"somebody else in this process serves it, and didn't leave within {patience:g} s.")
        self._served.add(url)
        try:
            async with self._join(url, clock, store_id) as store:
                yield store
        finally:
            self._served.discard(url)
            self._left.give([url])

    @asynccontextmanager
    async def _join(self, url: str, clock: Clock, store_id: str | None) -> AsyncGenerator[Store]:
        contents = self._stores.get(url)
        if contents is None:
            raise StoreMissing(url, "nothing was deployed there in this process. A store in memory is seen by its own process only.")
        if store_id not in (None, contents.store_id):
            raise StoreMismatch(url, f"its store id is {contents.store_id}, not {store_id}.")
        yield MemoryStore(clock, contents)
