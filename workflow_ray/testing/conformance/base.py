"""What the cases share: the fixtures that a subclass brings, what it may lack, and ways to wait
without sleeping.
"""

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
"""Seconds by the fake clock: a wait that nothing but what it waits for can end."""
GRACE = 0.05
"""Real seconds after which a call that hasn't returned is held to wait: no condition can say that a
server won't answer.
"""
PATIENCE = 20.0
"""Real seconds after which a call that should return is held to hang."""

STEP, SLACK = 20.0, 60.0
"""Seconds by the fake clock: see `within`."""


class Capability(StrEnum):
    """What some cases need, and not every adapter has."""

    OPENINGS = "several openings"
    """Processes open the store side by side; the fixture `another` does."""
    FAULTS = "a way to break it"
    """What lies between a store and who has it open can be cut, or held up, in the middle of a
    transaction; by the fixture `fragile`.
    """
    DURABILITY = "durability"
    """No crash, of a process, a machine or a server that another takes over from, loses what was
    answered. A promise: no case tries it.
    """
    SIZED_TOPICS = "topics of a size"
    """A topic knows how many partitions it has, and so can differ from what its workflow asks for.
    """


Another: TypeAlias = Callable[[], AbstractAsyncContextManager[Any]]
"""Opens what the suite is for: records, or a streamer, or a store of timeouts alone too."""


class MovingStore(Store, OutboxMover, Trimmer, Protocol):
    """Holds everything."""


class Fragile(Protocol):
    """A further opening of a store, through something that breaks when it is told to.

    See `workflow_ray.testing.faults`.
    """

    @property
    def store(self) -> Any:
        """What the suite is for."""
        ...

    def cut_after(self, messages: int) -> None:
        """Let `messages` more messages through to the server, and then break; what follows fails
        until it is healed.
        """
        ...

    def hold_after(self, messages: int) -> None:
        """Let `messages` more messages through, and hold back those after them; a transaction stays
        open meanwhile.
        """
        ...

    async def held(self) -> None:
        """Wait until a message is held back."""
        ...

    def heal(self) -> None:
        """Let everything through again, first what was held back."""
        ...


class Proxied:
    """A Fragile for a server: a store that was opened through the proxy."""

    def __init__(self, store: Any, proxy: FaultyProxy) -> None:
        self.store = store
        self.cut_after = proxy.cut_after
        self.hold_after = proxy.hold_after
        self.held = proxy.held
        self.heal = proxy.heal


class Conformance:
    """Cases of one port. A subclass brings the fixtures that the package's docstring names."""

    lacks: ClassVar[Mapping[Capability, str]] = {}
    """What the adapter hasn't got, and why: the cases that need it are reported as skipped, with
    these words.
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
        """For a case: it ends here, as skipped, where the adapter lacks that."""
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
    """As many processes would open the store."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(another()) for _ in range(count)]


async def begun(clock: FakeClock, call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """The call as a task that waits, as it should."""
    task = asyncio.create_task(call)
    await settled(clock)
    assert not task.done(), "it should wait, and has returned"
    return task


async def ended(task: asyncio.Task[T]) -> T:
    """What the task returns, time standing still."""
    return await asyncio.wait_for(task, timeout=PATIENCE)


async def heard(clock: FakeClock, task: asyncio.Task[T]) -> T:
    """What the task returns when another process has given it cause to: hints may be lost, so the
    poll beneath them may have to come.
    """
    async with asyncio.timeout(PATIENCE):
        while not task.done():
            await asyncio.wait({task}, timeout=GRACE / 5)
            await clock.advance(timedelta(seconds=1))
    return task.result()


async def within(clock: FakeClock, task: asyncio.Task[T], *, seconds: float) -> T:
    """What the task returns by then.

    A store with threads or a server gets SLACK seconds more: time passes while it looks.
    """
    for _ in range(round((seconds + SLACK) / STEP)):
        if not task.done():
            await clock.advance(timedelta(seconds=STEP))
            await settled(clock)
    return await ended(task)


async def timed_out(clock: FakeClock, task: asyncio.Task[T], *, seconds: float) -> T:
    """What the task returns when its wait of `seconds` is over, and not before."""
    begin = clock.monotonic()
    async with asyncio.timeout(PATIENCE):
        # again and again: a store with threads or a server may take a moment to notice
        while not task.done():
            await clock.advance(timedelta(seconds=1))
            await asyncio.wait({task}, timeout=GRACE / 5)
    assert clock.monotonic() - begin >= seconds
    return task.result()


async def settled(clock: FakeClock) -> None:
    """Let everybody come to where only time, or another call, takes them on; servers too."""
    await clock.settle()
    await asyncio.sleep(GRACE)
    await clock.settle()
