"""Fixtures, capabilities that adapters may lack, and waits without sleeping, for all cases."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Any, ClassVar, NoReturn, Protocol, TypeAlias, TypeVar

import pytest

from workflow_ray.ports import OutboxMover, Store, Trimmer
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.faults import FaultyProxy

T = TypeVar("T")

LONG = 3600.0
"""Seconds by the fake clock of a wait that must not time out."""
GRACE = 0.05
"""Real seconds after which a call that has not returned is taken to wait, because no condition can
tell that a server will not answer.
"""
PATIENCE = 20.0
"""Real seconds after which a call that should return is taken to hang."""

STEP, SLACK = 20.0, 60.0
"""Seconds by the fake clock, see `result_within`."""


class Capability(StrEnum):
    """What some cases need and not every adapter has."""

    OPENINGS = "several openings"
    """Several processes can have the store open. The fixture `another` opens it again."""
    FAULTS = "a way to break it"
    """The connection to the store can be cut or held up in the middle of a transaction. The fixture
    `fragile` does so.
    """
    DURABILITY = "durability"
    """No crash of a process or a machine, and no failover of a server, loses an answered write. The
    adapter declares it; no case tests it.
    """
    SIZED_TOPICS = "topics of a size"
    """A topic has a number of partitions, which can differ from that of its workflow."""


Another: TypeAlias = Callable[[], AbstractAsyncContextManager[Any]]
"""Opens the port of the suite again: a store, records, a streamer or a timeout store."""


class MovingStore(Store, OutboxMover, Trimmer, Protocol):
    """A store that implements every port."""


class Fragile(Protocol):
    """Another opening of the store, over a connection that tests can break.

    See `workflow_ray.testing.faults`.
    """

    @property
    def store(self) -> Any:
        """The store under test."""
        ...

    def cut_after(self, messages: int) -> None:
        """Let `messages` more messages through to the server, and then break the connection.

        Later messages fail until `heal`.
        """
        ...

    def hold_after(self, messages: int) -> None:
        """Let `messages` more messages through, and hold back the later ones until `heal`.

        A transaction stays open meanwhile.
        """
        ...

    async def held(self) -> None:
        """Wait until a message is held back."""
        ...

    def heal(self) -> None:
        """Let every message through again, first the ones that were held back."""
        ...


class Proxied:
    """A Fragile for a server: the store was opened through the proxy."""

    def __init__(self, store: Any, proxy: FaultyProxy) -> None:
        self.store = store
        self.cut_after = proxy.cut_after
        self.hold_after = proxy.hold_after
        self.held = proxy.held
        self.heal = proxy.heal


class Conformance:
    """Cases of one port. A subclass defines the fixtures that the package's docstring names."""

    lacks: ClassVar[Mapping[Capability, str]] = {}
    """The capabilities that the adapter lacks, with the reasons. The cases that need one are
    reported as skipped, with its reason.
    """

    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def another(self) -> Another:
        self._absent("another", Capability.OPENINGS)

    @pytest.fixture
    def fragile(self) -> Fragile:
        self._absent("fragile", Capability.FAULTS)

    def need(self, capability: Capability) -> None:
        """Skip the case if the adapter lacks the capability."""
        if capability in self.lacks:
            pytest.skip(f"lacks {capability}: {self.lacks[capability]}")

    def _absent(self, fixture: str, capability: Capability) -> NoReturn:
        self.need(capability)
        pytest.fail(
            f"{type(self).__name__} has no fixture `{fixture}`. Define it, or say in `lacks` why"
            f" it has no {capability.name}."
        )


@asynccontextmanager
async def openings(another: Another, *, count: int) -> AsyncGenerator[list[Store]]:
    """Open the store `count` times, as so many processes would."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(another()) for _ in range(count)]


async def begin(clock: FakeClock, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Start the call as a task, and check that it waits."""
    task = asyncio.create_task(call)
    await settle(clock)
    assert not task.done(), "it has returned, but should wait"
    return task


async def result_of(task: asyncio.Task[T]) -> T:
    """Return the result of the task, without advancing the clock."""
    return await asyncio.wait_for(task, timeout=PATIENCE)


async def result_across_processes(clock: FakeClock, task: asyncio.Task[T]) -> T:
    """Return the result of the task, which another process makes possible.

    Notifications may be lost, so the clock advances until a poll has found the change.
    """
    async with asyncio.timeout(PATIENCE):
        while not task.done():
            await asyncio.wait({task}, timeout=GRACE / 5)
            await clock.advance(timedelta(seconds=1))
    return task.result()


async def result_within(clock: FakeClock, task: asyncio.Task[T], *, seconds: float) -> T:
    """Return the result of the task, which is due `seconds` from now.

    A store with threads or a server gets SLACK more seconds, because time passes while it works.
    """
    for _ in range(round((seconds + SLACK) / STEP)):
        if not task.done():
            await clock.advance(timedelta(seconds=STEP))
            await settle(clock)
    return await result_of(task)


async def result_at_timeout(clock: FakeClock, task: asyncio.Task[T], *, seconds: float) -> T:
    """Return the result of the task, and check that it waited for `seconds`."""
    start = clock.monotonic()
    async with asyncio.timeout(PATIENCE):
        # A store with threads or a server may take a moment to notice, so this repeats.
        while not task.done():
            await clock.advance(timedelta(seconds=1))
            await asyncio.wait({task}, timeout=GRACE / 5)
    assert clock.monotonic() - start >= seconds
    return task.result()


async def settle(clock: FakeClock) -> None:
    """Wait until every task and server waits for time or for another call."""
    await clock.settle()
    await asyncio.sleep(GRACE)
    await clock.settle()
