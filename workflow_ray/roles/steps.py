"""The attempts that a consumer runs, in the order in which they came, up to a limit at a time."""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from itertools import islice
from typing import Any

from workflow_ray.definition import Step
from workflow_ray.engine.events import is_current
from workflow_ray.engine.pace import Pace
from workflow_ray.engine.transition import AnyFunction, Failed, Outcome
from workflow_ray.ports import Clock
from workflow_ray.records import Record, RunId
from workflow_ray.roles.attempt import Attempt, Phase
from workflow_ray.roles.execution import outcome_of
from workflow_ray.roles.time_limit import TimeLimit

log = logging.getLogger(__name__)

OLD = 1.0
"""The seconds after which a record is read again before its attempt begins, because the run may
have been cancelled while it waited.
"""
READ_AGAIN = 100
"""The records that are read again at once."""
CANCELLING = 2.0
"""The seconds after which a step that does not end when it is cancelled is left alone."""


class Steps:
    """Runs attempts, each in a task that runs only the step's code.

    Args:
        limit: The most attempts that run at a time.
        run: Does the work of the task.
        ended: Called with each attempt that has ended and was not abandoned, and with its outcome.
        overtaken: Called with each attempt whose run moved on before the attempt began.
        read: Reads records. It may return only those of the first runs.
        reserve: Commits the rows of the partitions, with the offsets that `reserve_ahead` asks for.
        spawn: Starts a task whose errors end the role.
        context: The context variables of the steps.
        clock: Measures waits and time limits.
        time_limits: The time limits of the functions, which hold while `enforce_time_limits` runs.
    """

    def __init__(
        self,
        limit: int,
        run: Callable[[Attempt], Coroutine[Any, Any, Outcome]],
        ended: Callable[[Attempt, Outcome], None],
        overtaken: Callable[[Attempt], None],
        read: Callable[[Sequence[RunId]], Awaitable[dict[RunId, Record | None]]],
        reserve: Callable[[], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        context: contextvars.Context,
        clock: Clock,
        time_limits: Iterable[float] = (),
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
        self._time_limits = {
            seconds: TimeLimit(seconds, clock, self._expire) for seconds in time_limits
        }
        self._waiting: deque[Attempt] = deque()
        self._running: dict[asyncio.Task[Outcome], Attempt] = {}
        # tasks that go on although their attempts have ended
        self._left_alone = set[asyncio.Task[Outcome]]()
        self._preparing = False  # whether the next attempts are being prepared
        self.closed = False  # whether no further attempt begins

    def start(self, attempts: Iterable[Attempt]) -> None:
        """Run each attempt as soon as fewer than the limit are running."""
        self._waiting.extend(attempts)
        self._fill()

    async def slot(self, attempt: Attempt) -> None:
        """Wait for a slot for the attempt. Then `launch` it, or give the slot back by `leave`."""
        turn: asyncio.Future[None] = self._loop.create_future()
        attempt.turn = turn
        self._waiting.append(attempt)
        self._fill()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Give back a slot that was not used."""
        self._free += 1
        self._fill()

    def launch(self, attempt: Attempt) -> None:
        """Run the attempt now, in its slot."""
        attempt.phase = Phase.RUNNING
        task = self._loop.create_task(self._run(attempt), context=self._context.copy())
        self._running[task] = attempt
        task.add_done_callback(self._task_ended)
        if self._time_limits and (time_limit := self._time_limit_of(attempt)) is not None:
            attempt.time_limit = time_limit
            if not is_transactional(attempt.function):
                time_limit.begin(attempt)

    def _time_limit_of(self, attempt: Attempt) -> TimeLimit | None:
        function = attempt.function
        if function is None or function.timeout is None:
            return None
        return self._time_limits.get(function.timeout)

    async def enforce_time_limits(self) -> None:
        """Fail the attempts that exceed their time limit, until cancelled."""
        await asyncio.gather(*(time_limit.run() for time_limit in self._time_limits.values()))

    def running(self) -> int:
        """The number of attempts that run now. Thread-safe."""
        return len(self._running)

    def left_alone(self) -> int:
        """The number of steps that exceeded their time limit and do not end. Thread-safe."""
        return len(self._left_alone)

    def attempt_of(self, task: asyncio.Task[Any]) -> Attempt | None:
        """The attempt that a task runs. None if it runs none. Thread-safe."""
        return self._running.get(task)

    def reserve_ahead(self, pace: Pace) -> int:
        """Reserve the offsets of the waiting attempts that may begin before the next commit after
        this one.

        Returns:
            How many more attempts may begin by then.
        """
        reach = pace.reach(self._free)
        for attempt in islice(self._waiting, reach):
            attempt.reserve()
        return max(0, reach - len(self._waiting))

    def withdraw(self) -> list[Attempt]:
        """Take back the attempts that have not begun, and return them. Waits for slots go on."""
        withdrawn = [attempt for attempt in self._waiting if attempt.turn is None]
        self._waiting = deque(attempt for attempt in self._waiting if attempt.turn is not None)
        return withdrawn

    def abandon(self) -> list[Attempt]:
        """Cancel the running attempts, begin no other, and drop their outcomes."""
        self.closed = True
        abandoned = [
            attempt for attempt in self._running.values() if attempt.phase is Phase.RUNNING
        ]
        for task, attempt in self._running.items():
            attempt.phase = Phase.ABANDONED
            task.cancel()
            attempt.cancel()
        return abandoned

    async def close(self) -> None:
        """Wait for the tasks of abandoned attempts, for at most CANCELLING seconds."""
        tasks: Collection[asyncio.Task[Outcome]] = list(self._running)
        if tasks:
            await asyncio.wait(tasks, timeout=CANCELLING)
        for attempt in self._running.values():
            self._log_left_alone(attempt)

    def _log_left_alone(self, attempt: Attempt) -> None:
        where = {"run_id": attempt.record.run_id, "version": attempt.record.version}
        log.error(
            "the step of run %s does not end although it was cancelled; it is left alone",
            attempt.record.run_id,
            extra=where,
        )

    def _fill(self) -> None:
        if not self._waiting or not self._free:
            return
        old = self._clock.monotonic() - OLD
        while self._waiting and self._free > 0 and not self.closed:
            attempt = self._waiting[0]
            turn = attempt.turn
            if turn is None and attempt.read_at < old:
                self._prepare(self._read_again)
                return
            if not attempt.reserve():
                self._prepare(self._reserve)  # it can run when the stored row covers its offset
                return
            self._waiting.popleft()
            if turn is None:
                self._free -= 1
                self.launch(attempt)
                continue
            attempt.turn = None
            if not turn.done():
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
        """Drop the waiting attempts whose runs have moved on."""
        attempts = [one for one in islice(self._waiting, READ_AGAIN) if one.turn is None]
        found = await self._read([attempt.record.run_id for attempt in attempts])
        overtaken = set[Attempt]()
        for attempt in attempts:
            run_id = attempt.record.run_id
            if run_id in found and attempt.phase is Phase.WAITING:
                attempt.read_at = self._clock.monotonic()
                if not still_asks(attempt, found[run_id]):
                    overtaken.add(attempt)
        self._waiting = deque(one for one in self._waiting if one not in overtaken)
        for attempt in overtaken:
            self._overtaken(attempt)

    def _expire(self, attempt: Attempt) -> None:
        """Cancel the attempt. From now on its result is dropped."""
        task = next((task for task, running in self._running.items() if running is attempt), None)
        if task is not None and not task.done() and attempt.phase is Phase.RUNNING:
            attempt.is_expired = True
            task.cancel()
            attempt.cancel()
            self._spawn(self._leave_alone(task, attempt))

    async def _leave_alone(self, task: asyncio.Task[Outcome], attempt: Attempt) -> None:
        """End the attempt of a step that does not end when it is cancelled."""
        if not await self._clock.wait(attempt.ended, CANCELLING) and attempt.phase is Phase.RUNNING:
            self._log_left_alone(attempt)
            self._left_alone.add(task)
            task.add_done_callback(self._left_alone.discard)
            self._end(task, attempt, _too_long(attempt))

    def _task_ended(self, task: asyncio.Task[Outcome]) -> None:
        attempt = self._running.get(task)
        # an abandoned attempt's is not needed, but if it is read, asyncio doesn't log it
        outcome = outcome_of(task)
        if attempt is not None:
            self._end(task, attempt, _too_long(attempt) if attempt.is_expired else outcome)

    def _end(self, task: asyncio.Task[Outcome], attempt: Attempt, outcome: Outcome) -> None:
        del self._running[task]
        self._free += 1
        if attempt.time_limit is not None:
            attempt.time_limit.end(attempt)
        if attempt.phase is Phase.RUNNING:
            self._report(attempt, outcome)
        attempt.mark_ended()
        self._fill()

    def _report(self, attempt: Attempt, outcome: Outcome) -> None:
        try:
            self._ended(attempt, outcome)
        # It is an error of this package. Raised in a callback, it would only be logged, and the run
        # would wait for ever.
        except Exception as error:
            self._spawn(raised(error))


async def raised(error: Exception) -> None:
    """Raise an error of a callback in a task, whose errors end the role."""
    raise error


def is_transactional(function: AnyFunction | None) -> bool:
    """Whether the function first waits for a transaction. Its time limit begins after that."""
    return isinstance(function, Step) and function.session is not None


def _too_long(attempt: Attempt) -> Outcome:
    seconds = attempt.function.timeout if attempt.function is not None else None
    return too_long(seconds or 0.0)


def too_long(seconds: float) -> Failed:
    """Say that the function has exceeded its time limit."""
    why = f"it took longer than {seconds:g} s (timeout={seconds:g})"
    return Failed(why, kind=TimeoutError.__qualname__)


def still_asks(attempt: Attempt, record: Record | None) -> bool:
    """Whether the run still waits for the attempt. An older record does not show that."""
    if record is None or record.version <= attempt.record.version:
        return True
    if attempt.function is None and attempt.message is None:
        return True  # it cancels the children of a run that stays cancelled
    return attempt.message is None and is_current(attempt.event, record)
