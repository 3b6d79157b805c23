"""Two processes that have one store open, and calls that wait in them."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from workflow_ray.ports import SystemClock, records_adapter
from workflow_ray.records import (
    PUBLISHER,
    Fence,
    Role,
)
from workflow_ray.testing.conformance.runs import (
    deploy,
    workflow,
)
from workflow_ray_adapters.sql import changes, deployments, outbox, queries, stream
from workflow_ray_adapters.sql import timeouts as timeouts_of
from workflow_ray_adapters.sql.store import SqlStore

T = TypeVar("T")
LONG = 60.0
SOON = 5.0
"""Seconds: more than any poll takes on a busy machine, and less than any wait."""


@dataclass
class Pair:
    """Two processes that have one store open."""

    here: SqlStore
    there: SqlStore
    looks: Counter[str]
    """What `here` and `there` have read for those who wait; `changes` is the poll for all of them.
    """


@asynccontextmanager
async def open_pair(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Pair]:
    """Open a new store twice, and count what both read for those who wait."""
    adapter, looks = records_adapter(url), Counter[str]()
    await asyncio.to_thread(adapter.create, url)
    for module, name in (
        (queries, "newer"),
        (stream, "receive"),
        (outbox, "read_pending"),
        (timeouts_of, "due"),
        (deployments, "newer"),
        (changes, "read"),
    ):
        _count(monkeypatch, looks, module, name)

    def opened() -> AbstractAsyncContextManager[Any]:
        return adapter.open_records(url, clock=SystemClock(), exclusive=False)

    async with AsyncExitStack() as stack:
        yield Pair(
            await stack.enter_async_context(opened()),
            await stack.enter_async_context(opened()),
            looks,
        )


def _count(monkeypatch: pytest.MonkeyPatch, looks: Counter[str], module: Any, name: str) -> None:
    look = getattr(module, name)

    def counting(*args: Any, **kwargs: Any) -> Any:
        looks[module.__name__.rpartition(".")[2]] += 1
        return look(*args, **kwargs)

    monkeypatch.setattr(module, name, counting)


async def waits(*calls: Coroutine[Any, Any, T]) -> list[asyncio.Task[T]]:
    """Start the calls as tasks, and check that they wait."""
    waiting = [asyncio.create_task(call) for call in calls]
    assert not (await asyncio.wait(waiting, timeout=0.5))[0]
    return waiting


async def woken(call: Coroutine[Any, Any, T], cause: Callable[[], Awaitable[object]]) -> T:
    """Return the answer of a call that waits until another process does something."""
    (waiting,) = await waits(call)
    await cause()
    return await asyncio.wait_for(waiting, SOON)


async def publisher(store: SqlStore) -> Fence:
    await deploy(store, workflow())
    return await store.acquire(Role(PUBLISHER))


async def give_up(waiting: list[asyncio.Task[Any]]) -> None:
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
