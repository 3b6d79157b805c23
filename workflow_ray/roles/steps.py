"""The attempts that a consumer runs: at most so many at a time, in the order in which they came."""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from itertools import islice
from typing import Any

from workflow_ray.engine.events import is_current
from workflow_ray.engine.pace import Pace
from workflow_ray.engine.transition import Failed, Outcome
from workflow_ray.ports import Clock
from workflow_ray.records import Record, RunId
from workflow_ray.roles.attempt import Attempt, Phase
from workflow_ray.roles.execution import outcome_of
from workflow_ray.roles.time_limit import TimeLimit

log = logging.getLogger(__name__)

OLD = 1.0
"""Seconds after which a record is read again before its attempt begins: the run may have been
cancelled while it waited.
"""
READ_AGAIN = 100
"""Records read again at once."""
CANCELLING = 2.0
"""Seconds after which a step that goes on though it was cancelled is left alone."""


class Steps:
    """Runs attempts, each in a task that belongs to the step's code alone.

    Args:
        limit: Attempts that run at a time.
        run: The task's work, for the attempt's record.
        ended: Called with each attempt that has ended and was not abandoned, and what came of it.
        overtaken: Called with each attempt whose run went on without it before it began.
        read: Reads records: some of those asked for, from the first on.
        reserve: Commits the rows of the partitions, with what `reserve_ahead` asks for.
        spawn: Starts a task whose errors end the role.
        time_limit: Seconds that an attempt may take, while `enforce_time_limit` runs. None: as long
            as it takes.
    """

    def __init__(
        self,
        limit: int,
        run: Callable[[Record], Coroutine[Any, Any, Outcome]],
        ended: Callable[[Attempt, Outcome], None],
        overtaken: Callable[[Attempt], None],
        read: Callable[[Sequence[RunId]], Awaitable[dict[RunId, Record | None]]],
        reserve: Callable[[], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        context: contextvars.Context,
        clock: Clock,
        time_limit: float | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._free = limit
        self._run = run
        self._ended = ended
        self._overtaken = overtaken
        self._read = read
        self._reserve = reserve
        self._spawn = spawn
        self._context = context
        self._clock = clock
        self._time_limit = (
            None if time_limit is None else TimeLimit(time_limit, clock, self._expire)
        )
        self._waiting: deque[tuple[Attempt, asyncio.Future[None] | None]] = deque()
        self._running: dict[asyncio.Task[Outcome], Attempt] = {}
        self._preparing = False  # those who are next are looked after
        self.closed = False  # no further attempt begins

    def start(self, attempts: Iterable[Attempt]) -> None:
        """Run each as soon as fewer than the limit run."""
        self._waiting.extend((attempt, None) for attempt in attempts)
        self._fill()

    async def slot(self, attempt: Attempt) -> None:
        """Wait for its turn. It counts as one that runs then: `launch` it, or call `leave`."""
        turn: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((attempt, turn))
        self._fill()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Give a slot back that was not used."""
        self._free += 1
        self._fill()

    def launch(self, attempt: Attempt) -> None:
        """Run it now, in the slot that it has."""
        attempt.phase = Phase.RUNNING
        task = self._loop.create_task(self._run(attempt.record), context=self._context.copy())
        self._running[task] = attempt
        task.add_done_callback(self._task_ended)
        if self._time_limit is not None:
            self._time_limit.begin(attempt)

    async def enforce_time_limit(self) -> None:
        """Have attempts fail that take too long, until cancelled."""
        if self._time_limit is not None:
            await self._time_limit.run()

    def running(self) -> int:
        """How many attempts run now. Called by any thread."""
        return len(self._running)

    def record_of(self, task: asyncio.Task[Any]) -> Record | None:
        """What the attempt is about that the task makes; None: it makes none.

        Called by any thread.
        """
        attempt = self._running.get(task)
        return attempt.record if attempt else None

    def reserve_ahead(self, pace: Pace) -> int:
        """Ask for the offsets of those in line that may begin before the row that is about to be
        committed is followed by another.

        Returns:
            How many more than those may begin.
        """
        reach = pace.reach(self._free)
        for attempt, _ in islice(self._waiting, reach):
            attempt.reserve()
        return max(0, reach - len(self._waiting))

    def withdraw(self) -> list[Attempt]:
        """Those that have not begun, so that they never will. Others in line for a slot wait on."""
        withdrawn = [attempt for attempt, turn in self._waiting if turn is None]
        self._waiting = deque(waiting for waiting in self._waiting if waiting[1] is not None)
        return withdrawn

    def abandon(self) -> list[Attempt]:
        """Cancel all that run, begin no other, and never ask what came of them."""
        self.closed = True
        abandoned = [
            attempt for attempt in self._running.values() if attempt.phase is Phase.RUNNING
        ]
        for task, attempt in self._running.items():
            attempt.phase = Phase.ABANDONED
            task.cancel()
        return abandoned

    async def close(self) -> None:
        """Wait for the tasks of abandoned attempts, but not for ever."""
        tasks: Collection[asyncio.Task[Outcome]] = list(self._running)
        if tasks:
            await asyncio.wait(tasks, timeout=CANCELLING)
        for attempt in self._running.values():
            self._log_left_alone(attempt)

    def _log_left_alone(self, attempt: Attempt) -> None:
        where = {"run_id": attempt.record.run_id, "version": attempt.record.version}
        log.error(
            "the step of run %s goes on though it was cancelled; it is left alone",
            attempt.record.run_id,
            extra=where,
        )

    def _fill(self) -> None:
        if not self._waiting or not self._free:
            return
        old = self._clock.monotonic() - OLD
        while self._waiting and self._free > 0 and not self.closed:
            attempt, turn = self._waiting[0]
            if turn is None and attempt.read_at < old:
                self._prepare(self._read_again)
                return
            if not attempt.reserve():
                self._prepare(self._reserve)  # it runs once the row in the store covers its offset
                return
            self._waiting.popleft()
            if turn is None:
                self._free -= 1
                self.launch(attempt)
            elif not turn.done():
                self._free -= 1
                turn.set_result(None)

    def _prepare(self, prepare: Callable[[], Awaitable[None]]) -> None:
        if not self._preparing:
            self._preparing = True
            self._spawn(self._prepared(prepare))

    async def _prepared(self, prepare: Callable[[], Awaitable[None]]) -> None:
        await prepare()
        self._preparing = False
        self._fill()

    async def _read_again(self) -> None:
        """Have those stand back whose runs have gone on without them."""
        attempts = [attempt for attempt, turn in islice(self._waiting, READ_AGAIN) if turn is None]
        found = await self._read([attempt.record.run_id for attempt in attempts])
        overtaken = set[Attempt]()
        for attempt in attempts:
            run_id = attempt.record.run_id
            if run_id in found and attempt.phase is Phase.WAITING:
                attempt.read_at = self._clock.monotonic()
                if not _still_asks(attempt, found[run_id]):
                    overtaken.add(attempt)
        self._waiting = deque(waiting for waiting in self._waiting if waiting[0] not in overtaken)
        for attempt in overtaken:
            self._overtaken(attempt)

    def _expire(self, attempt: Attempt) -> None:
        """Cancel it. What it returns from now on is dropped: it was told to end."""
        task = next((task for task, running in self._running.items() if running is attempt), None)
        if task is not None and not task.done() and attempt.phase is Phase.RUNNING:
            attempt.is_expired = True
            task.cancel()
            self._spawn(self._leave_alone(task, attempt))

    async def _leave_alone(self, task: asyncio.Task[Outcome], attempt: Attempt) -> None:
        """Go on without a step that does not end although it was cancelled."""
        if not await self._clock.wait(attempt.ended, CANCELLING) and attempt.phase is Phase.RUNNING:
            self._log_left_alone(attempt)
            self._end(task, attempt, self._too_long())

    def _too_long(self) -> Outcome:
        seconds = self._time_limit.seconds if self._time_limit is not None else 0.0
        return Failed(f"it took longer than its limit of {seconds:g} s")

    def _task_ended(self, task: asyncio.Task[Outcome]) -> None:
        attempt = self._running.get(task)
        # nobody asks for an abandoned attempt's, but to ask keeps asyncio from logging it
        outcome = outcome_of(task)
        if attempt is not None:
            self._end(task, attempt, self._too_long() if attempt.is_expired else outcome)

    def _end(self, task: asyncio.Task[Outcome], attempt: Attempt, outcome: Outcome) -> None:
        del self._running[task]
        self._free += 1
        if self._time_limit is not None:
            self._time_limit.end(attempt)
        if attempt.phase is Phase.RUNNING:
            self._tell(attempt, outcome)
        attempt.tell_ended()
        self._fill()

    def _tell(self, attempt: Attempt, outcome: Outcome) -> None:
        try:
            self._ended(attempt, outcome)
        # Of this package's code: raised in a callback it would go unnoticed, and the run wait for
        # ever
        except Exception as error:
            self._spawn(_raised(error))


async def _raised(error: Exception) -> None:
    raise error


def _still_asks(attempt: Attempt, record: Record | None) -> bool:
    """Whether the run is where the attempt found it. A record older than that tells nothing."""
    return (
        record is None
        or record.version <= attempt.record.version
        or is_current(attempt.event, record)
    )
