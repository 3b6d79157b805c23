"""Waiting for runs to change: all waits of a client share their calls to the store."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial

from workflow_ray.errors import WorkflowError
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import Record, RunId, Version

LONG_POLL = 20.0
"""Seconds that a store is asked to wait for a change; it answers at once when there is one."""
TOGETHER = 1000
"""Waits that one call is made for."""
AT_ONCE = 2
"""Calls out at a time that aren't full: one for those who wait already, one for those who come."""
GATHERING = 0.01
"""Seconds after which those who came while both were out are asked for too, by the machine's clock.
"""
QUIET = 5.0
"""Seconds without any change after which it is looked for a reason; then after twice as long."""
PER_WAIT = 10e-6
"""Seconds to the next call for each wait in it: the more waits it serves, the more changes one
answer should bring.
"""


@dataclass(eq=False)
class _Wait:
    run_id: RunId
    seen: Version
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    answer: Record | Exception | None = None

    def set_answer(self, answer: Record | Exception) -> None:
        if isinstance(answer, WorkflowError):
            # Several may get the same error: each raises one of its own
            answer = type(answer)(*answer.args)
        self.answer = answer
        self.answered.set()


class Watcher:
    """Wakes waits when their runs change. There is nothing to close: its tasks end with the waits
    that they are for. Waits of different event loops share nothing.

    Args:
        records: Repeats its calls while the store doesn't answer.
        clock: Measures the waits.
        quiet: Called when waits have brought no change for a while.
    """

    def __init__(
        self, records: RecordStore, clock: Clock, quiet: Callable[[], Awaitable[None]]
    ) -> None:
        self._records = records
        self._clock = clock
        self._quiet = quiet
        # Of each loop; those for runs at rest apart
        self._calls = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bool, set[_Call]]]()

    async def newer(
        self, run_id: RunId, seen: Version, *, wait: float | None, at_rest: bool = False
    ) -> Record | None:
        """The run's record once its version is above the one seen; None: `wait` seconds are over.
        `wait` None: as long as it takes.

        at_rest: only once it takes no further step by itself. Raises what the store's `watch` does.
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
        """The one to join: that is made soon, or else made for newcomers, or else made again for
        them before long.
        """
        calls = self._calls.setdefault(asyncio.get_running_loop(), {False: set(), True: set()})[
            at_rest
        ]
        room = [call for call in calls if len(call) < TOGETHER]
        soon = next((call for call in room if not call.out), None)
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
    """Measures how long a call has brought no change, and has it looked into after a while.

    Each time after twice as long as before, so that a long wait costs few looks.
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
    """A call to the store that is repeated as long as somebody waits for its answer."""

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
        self._timer: asyncio.Timeout | None = None  # breaks off the call that is out
        self._task = asyncio.create_task(self._run())

    def __len__(self) -> int:
        return len(self._waits)

    @property
    def out(self) -> bool:
        return self._timer is not None

    def add(self, waiting: _Wait) -> None:
        """Ask for this one too: with the next call, which is made soon."""
        self._waits.add(waiting)
        if self._timer is not None and self._timer.when() is None:
            self._timer.reschedule(asyncio.get_running_loop().time() + GATHERING)

    def remove(self, waiting: _Wait) -> None:
        """It waits no longer. Does nothing for one that has its answer."""
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
        """The answer to a call; none where it was broken off for newcomers."""
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
