"""The adapter that the entry point names."""

import asyncio
import fcntl
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import msgspec

from toyrecords.file import POLL, File
from toyrecords.state import State
from toyrecords.store import ToyStore
from workflow_ray.errors import StoreInUse, StoreMismatch, StoreMissing
from workflow_ray.ports import Clock
from workflow_ray.records import Deployment


class ToyRecordsAdapter:
    """A RecordsAdapter and TimeoutsAdapter."""

    shared = False

    def canonical(self, url: str) -> str:
        return f"toyrecords://{_path(url)}"

    def create(self, url: str) -> str:
        file = File(_path(url))
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with file.locked("lock"):
            if not file.path.exists():
                file.write(msgspec.msgpack.encode(State(Deployment(store_id=str(uuid4())))))
        with file.transaction() as state:
            return state.deployment.store_id

    def open_records(
        self,
        url: str,
        *,
        clock: Clock,
        store_id: str | None = None,
        exclusive: bool = True,
        patience: float = 5.0,
    ) -> AbstractAsyncContextManager[ToyStore]:
        return self._open(File(_path(url)), clock, store_id, patience if exclusive else None)

    def open_timeouts(self, url: str, *, clock: Clock) -> AbstractAsyncContextManager[ToyStore]:
        return self._open(File(_path(url)), clock, None, None)

    @asynccontextmanager
    async def _open(
        self, file: File, clock: Clock, store_id: str | None, patience: float | None
    ) -> AsyncGenerator[ToyStore]:
        """Open the file.

        Args:
            patience: Seconds to wait until it can be had exclusively; None: open it beside others.
        """
        if not file.path.exists():
            raise StoreMissing(str(file.path), "nothing was deployed there yet.")
        with file.transaction() as state:
            found = state.deployment.store_id
        if store_id not in (None, found):
            raise StoreMismatch(str(file.path), f"its store id is {found}, not {store_id}.")
        async with AsyncExitStack() as stack:
            if patience is not None:
                await _alone(file, clock, patience, stack)
            yield ToyStore(file, clock, found)


async def _alone(file: File, clock: Clock, patience: float, stack: AsyncExitStack) -> None:
    deadline = clock.now() + timedelta(seconds=patience)
    while True:
        try:
            stack.enter_context(file.locked("served", fcntl.LOCK_EX | fcntl.LOCK_NB))
            return
        except BlockingIOError:
            if clock.now() >= deadline:
                raise StoreInUse(
                    str(file.path),
                    f"another process has it, and didn't leave within {patience:g} s.",
                ) from None
            await clock.wait(asyncio.Event(), POLL)


def _path(url: str) -> Path:
    return Path(url.partition("://")[2]).resolve()
