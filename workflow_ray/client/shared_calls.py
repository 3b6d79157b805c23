"""Waits that share their calls to a store."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from workflow_ray.errors import WorkflowError
from workflow_ray.ports import Clock

LONG_POLL = 20.0
"""Seconds that a store is asked to wait for a change. It answers at once when there is one."""
TOGETHER = 1000
"""The largest number of waits that one call serves."""
AT_ONCE = 2
"""The largest number of calls in flight that have room: one for earlier and one for new waits."""
GATHERING = 0.01
"""Seconds, by the machine's clock, after which a call in flight is made again with the waits that
have joined it.
"""
QUIET = 5.0
"""Seconds without a change after which a call looks for a reason; then after twice as long."""
PER_WAIT = 10e-6
"""Seconds of pause before the next call, for each of its waits: the more waits a call serves, the
more changes one answer should bring.
"""

W = TypeVar("W")
A = TypeVar("A")

Ask: TypeAlias = Callable[[Collection[W], float], Awaitable[dict[W, A]]]
"""Asks the store for several waits at once, and waits up to so many seconds for the first answer.
It returns those that have an answer.
"""


@dataclass(eq=False)
class _Wait(Generic[W, A]):
    wanted: W
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    answer: A | Exception | None = None

    def set_answer(self, answer: A | Exception) -> None:
        if isinstance(answer, WorkflowError):
            # Several waits may get the same error, so each raises its own instance.
            answer = type(answer)(*answer.args)
        self.answer = answer
        self.answered.set()


class SharedCalls(Generic[W, A]):
    """Makes calls to a store that serve many waits each.

    It needs no closing, because its tasks end with the waits that they serve. Waits of different
    event loops share nothing.

    Args:
        ask: Makes one call.
        clock: Measures the waits.
        quiet: Called when waits have brought no answer for a while.
    """

    def __init__(self, ask: Ask[W, A], clock: Clock, quiet: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._clock = clock
        self._quiet = quiet
        self._calls = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, set[_Call[W, A]]]()

    async def wait(self, wanted: W, seconds: float | None) -> A | None:
        """Wait for an answer.

        Args:
            wanted: What is waited for. It is hashable.
            seconds: None: no limit.

        Returns:
            None: The time is over.

        Raises:
            WorkflowError: What the call raises.
        """
        waiting: _Wait[W, A] = _Wait(wanted)  # naming the types there takes longer than the rest
        call = self._next_call()
        call.add(waiting)
        try:
            await (
                waiting.answered.wait()
                if seconds is None
                else self._clock.wait(waiting.answered, seconds)
            )
        finally:
            call.remove(waiting)
        if isinstance(waiting.answer, Exception):
            raise waiting.answer
        return waiting.answer

    def _next_call(self) -> "_Call[W, A]":
        """Return the call that a new wait joins: one that is not in flight yet, else a new one,
        else the smallest one in flight, which is soon made again.
        """
        calls = self._calls.setdefault(asyncio.get_running_loop(), set())
        room = [call for call in calls if len(call) < TOGETHER]
        soon = next((call for call in room if not call.is_in_flight), None)
        if soon is not None:
            return soon
        if len(room) >= AT_ONCE:
            return min(room, key=len)
        call = _Call(self._ask, calls.discard, _Silence(self._clock, self._quiet))
        calls.add(call)
        return call


class _Silence:
    """Measures how long a call has brought no answer, and looks for a reason after a while.

    The time to the next look doubles, so that a long wait costs few of them.
    """

    def __init__(self, clock: Clock, look: Callable[[], Awaitable[None]]) -> None:
        self._clock = clock
        self._look = look
        self._begin()

    def _begin(self) -> None:
        self._pause = QUIET
        self._due = self._clock.monotonic() + QUIET

    def poll(self) -> float:
        """Return the seconds that the next poll may take."""
        return min(LONG_POLL, max(self._due - self._clock.monotonic(), 0.0) or LONG_POLL)

    async def heard(self, *, is_answered: bool) -> None:
        """Take note of the end of a call."""
        if is_answered:
            self._begin()
        elif self._clock.monotonic() >= self._due:
            self._pause *= 2
            self._due = self._clock.monotonic() + self._pause
            await self._look()


class _Call(Generic[W, A]):
    """A call to the store that is repeated as long as it has waits."""

    def __init__(
        self, ask: Ask[W, A], ended: Callable[["_Call[W, A]"], None], silence: _Silence
    ) -> None:
        self._ask = ask
        self._ended = ended
        self._silence = silence
        self._waits: set[_Wait[W, A]] = set()
        self._timer: asyncio.Timeout | None = None  # ends the call in flight
        self._task = asyncio.create_task(self._run())

    def __len__(self) -> int:
        return len(self._waits)

    @property
    def is_in_flight(self) -> bool:
        return self._timer is not None

    def add(self, waiting: _Wait[W, A]) -> None:
        """Add a wait. The next call, which is made soon, asks for it too."""
        self._waits.add(waiting)
        if self._timer is not None and self._timer.when() is None:
            self._timer.reschedule(asyncio.get_running_loop().time() + GATHERING)

    def remove(self, waiting: _Wait[W, A]) -> None:
        """Remove a wait. Does nothing for one that has its answer."""
        self._waits.discard(waiting)
        if not self._waits:
            self._ended(self)
            self._task.cancel()

    async def _run(self) -> None:
        while self._waits:
            asked = tuple(self._waits)
            try:
                answers = await self._answers(asked)
                self._hand_out(asked, answers)
                await self._silence.heard(is_answered=bool(answers))
            except Exception as error:
                for waiting in asked:
                    waiting.set_answer(error)
                self._waits.difference_update(asked)
            if self._waits:
                await asyncio.sleep(len(self._waits) * PER_WAIT)
        self._ended(self)

    async def _answers(self, asked: Collection[_Wait[W, A]]) -> dict[W, A]:
        """Make the call and return its answer; nothing if it was ended because of new waits."""
        timer = self._timer = asyncio.timeout(None)
        try:
            async with timer:
                return await self._ask({waiting.wanted for waiting in asked}, self._silence.poll())
        except TimeoutError:
            if not timer.expired():
                raise
            return {}
        finally:
            self._timer = None

    def _hand_out(self, asked: Collection[_Wait[W, A]], answers: dict[W, A]) -> None:
        for waiting in asked:
            if (answer := answers.get(waiting.wanted)) is not None:
                waiting.set_answer(answer)
                self._waits.discard(waiting)
