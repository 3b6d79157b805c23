"""`memory://NAME`: one store per name, which exists while this process lives."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

from workflow_ray.errors import InvalidInput, StoreInUse, StoreMismatch, StoreMissing
from workflow_ray.ports import Clock
from workflow_ray_adapters.memory.contents import Contents
from workflow_ray_adapters.memory.notifications import Notifications
from workflow_ray_adapters.memory.store import MemoryStore


class MemoryAdapter:
    """Opens stores of records, events and timeouts that live and end with this process.

    A URL has a name, so that several callers can share a store: each opening stands for a process.
    """

    shared = False
    _stores: ClassVar[dict[str, Contents]] = {}
    _left: ClassVar[Notifications[str]] = Notifications()

    def canonical(self, url: str) -> str:
        name = url.partition(":")[2].strip("/")
        if not name:
            raise InvalidInput(url, "a store in memory needs a name, as in memory://shop")
        return f"memory://{name}"

    def create(self, url: str) -> str:
        url = self.canonical(url)
        return self._stores.setdefault(url, Contents(url)).store_id

    def open_records(
        self,
        url: str,
        *,
        clock: Clock,
        store_id: str | None = None,
        exclusive: bool = True,
        patience: float = 5.0,
    ) -> AbstractAsyncContextManager[MemoryStore]:
        return (
            self._serve(url, clock, store_id, patience)
            if exclusive
            else self._join(url, clock, store_id)
        )

    def open_events(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[MemoryStore]:
        return self._join(url, clock)

    def open_timeouts(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[MemoryStore]:
        return self._join(url, clock)

    @asynccontextmanager
    async def _serve(
        self, url: str, clock: Clock, store_id: str | None, patience: float
    ) -> AsyncGenerator[MemoryStore]:
        contents = self._contents(url, store_id)
        if not await self._left.poll(
            [contents.where], lambda: not contents.served, clock=clock, wait=patience
        ):
            raise StoreInUse(
                contents.where,
                "this process has it open exclusively already, and did not close it within"
                f" {patience:g} s.",
            )
        contents.served = True
        try:
            yield MemoryStore(clock, contents)
        finally:
            contents.served = False
            self._left.notify([contents.where])

    @asynccontextmanager
    async def _join(
        self, url: str, clock: Clock, store_id: str | None = None
    ) -> AsyncGenerator[MemoryStore]:
        yield MemoryStore(clock, self._contents(url, store_id))

    def _contents(self, url: str, store_id: str | None) -> Contents:
        url = self.canonical(url)
        contents = self._stores.get(url)
        if contents is None:
            raise StoreMissing(
                url,
                "nothing was deployed there in this process. Only its own process can use a store"
                " in memory.",
            )
        if store_id not in (None, contents.store_id):
            raise StoreMismatch(url, f"its store id is {contents.store_id}, not {store_id}.")
        return contents
