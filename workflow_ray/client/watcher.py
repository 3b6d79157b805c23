"""Waits for runs to change. All waits of a client share their calls to the store."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

from workflow_ray.errors import WorkflowError
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import Record, RunId, Version

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


@dataclass(eq=False)
class _Wait:
    run_id: RunId
    seen: Version
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Record | Exception | None = None

    def set_answer(self, answer: Record | Exception) -> None:
        if isinstance(answer, WorkflowError):
            # Several waits may get the same error, so each raises its own instance.
            answer = type(answer)(*answer.args)
        self.answer = answer
        self.answered.set()


class Watcher:
    """Wakes waits when their runs change.

    It needs no closing, because its tasks end with the waits that they serve. Waits of different
    event loops share nothing.

    Args:
        records: A store that repeats its calls while the given one does not answer.
        clock: Measures the waits.
        quiet: Called when waits have brought no change for a while.
    """

    def __init__(
        self, records: RecordStore, clock: Clock, quiet: Callable[[], Awaitable[None]]
    ) -> None:
        self._records = records
        self._clock = clock
        self._quiet = quiet
        # by event loop; then by whether the call is for runs at rest only
        self._calls = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bool, set[_Call]]]()

    async def newer(
        self, run_id: RunId, seen: Version, *, wait: float | None, at_rest: bool = False
    ) -> Record | None:
        """Wait until the run's version is above the one seen.

        Args:
            run_id: The run.
            seen: The version that the caller knows.
            wait: Seconds. None: no limit.
            at_rest: Wait until the run also takes no further step by itself.

        Returns:
            The run's record. None: the time is over.

        Raises:
            WorkflowError: What the store's `watch` raises.
        """
        waiting = _Wait(run_id, seen)
        call = self._next_call(at_rest)
        call.add(waiting)
        try:
            await (
                waiting.answered.wait()
                if wait is None
                else self._clock.wait(waiting.answered, wait)
            )
        finally:
            call.remove(waiting)
        if isinstance(waiting.answer, Exception):
            raise waiting.answer
        return waiting.answer

    def _next_call(self, at_rest: bool) -> "_Call":
        """Return the call that a new wait joins: one that is not in flight yet, else a new one,
        else the smallest one in flight, which is soon made again.
        """
        calls = self._calls.setdefault(asyncio.get_running_loop(), {False: set(), True: set()})[
            at_rest
        ]
        room = [call for call in calls if len(call) < TOGETHER]
        soon = next((call for call in room if not call.is_in_flight), None)
        if soon is not None:
            return soon
        if len(room) >= AT_ONCE:
            return min(room, key=len)
        call = _Call(
            partial(self._watch, at_rest), calls.discard, _Silence(self._clock, self._quiet)
        )
        calls.add(call)
        return call

    async def _watch(
        self, at_rest: bool, seen: Mapping[RunId, Version], wait: float
    ) -> list[Record]:
        return await self._records.watch(seen, wait=wait, at_rest=at_rest)


class _Silence:
    """Measures how long a call has brought no change, and looks for a reason after a while.

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

    async def heard(self, changed: Collection[Record]) -> None:
        """Take note of an answer."""
        if changed:
            self._begin()
        elif self._clock.monotonic() >= self._due:
            self._pause *= 2
            self._due = self._clock.monotonic() + self._pause
            await self._look()


class _Call:
    """A call to the store that is repeated as long as it has waits."""

    def __init__(
        self,
        watch: Callable[[Mapping[RunId, Version], float], Awaitable[list[Record]]],
        ended: Callable[["_Call"], None],
        silence: _Silence,
    ) -> None:
        self._watch = watch
        self._ended = ended
        self._silence = silence
        self._waits: set[_Wait] = set()
        self._timer: asyncio.Timeout | None = None  # ends the call in flight
        self._task = asyncio.create_task(self._run())

    def __len__(self) -> int:
        return len(self._waits)

    @property
    def is_in_flight(self) -> bool:
        return self._timer is not None

    def add(self, waiting: _Wait) -> None:
        """Add a wait. The next call, which is made soon, asks for its run too."""
        self._waits.add(waiting)
        if self._timer is not None and self._timer.when() is None:
            self._timer.reschedule(asyncio.get_running_loop().time() + GATHERING)

    def remove(self, waiting: _Wait) -> None:
        """Remove a wait. Does nothing for one that has its answer."""
        self._waits.discard(waiting)
        if not self._waits:
            self._ended(self)
            self._task.cancel()

    async def _run(self) -> None:
        while self._waits:
            asked = tuple(self._waits)
            try:
                changed = await self._changed(asked)
                self._hand_out(asked, changed)
                await self._silence.heard(changed)
            except Exception as error:
                for waiting in asked:
                    waiting.set_answer(error)
                self._waits.difference_update(asked)
            if self._waits:
                await asyncio.sleep(len(self._waits) * PER_WAIT)
        self._ended(self)

    async def _changed(self, asked: Collection[_Wait]) -> list[Record]:
        """Make the call and return its answer; nothing if it was ended because of new waits."""
        seen: dict[RunId, Version] = {}
        for waiting in asked:
            seen[waiting.run_id] = min(waiting.seen, seen.get(waiting.run_id, waiting.seen))
        timer = self._timer = asyncio.timeout(None)
        try:
            async with timer:
                return await self._watch(seen, self._silence.poll())
        except TimeoutError:
            if not timer.expired():
                raise
            return []
        finally:
            self._timer = None

    def _hand_out(self, asked: Collection[_Wait], changed: Collection[Record]) -> None:
        records = {record.run_id: record for record in changed}
        for waiting in asked:
            record = records.get(waiting.run_id)
            if record is not None and record.version > waiting.seen:
                waiting.set_answer(record)
                self._waits.discard(waiting)
