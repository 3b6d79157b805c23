"""The circuit breaker around the attempts at one step, in one role."""

import logging
import zlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

from workflow_ray.definition import Breaker, Step
from workflow_ray.engine.breaker import Admitted, BreakerState, CircuitBreaker, Held
from workflow_ray.engine.transition import Failed, HeldBack, Outcome, Returned
from workflow_ray.ports import Clock
from workflow_ray.records import Record, RoleName
from workflow_ray.roles.attempt import Attempt

Ended: TypeAlias = Callable[[Attempt, Outcome], None]
log = logging.getLogger(__name__)


class StepBreaker:
    """Makes the attempts that the circuit breaker of the step admits. Others are held back.

    Args:
        role: The role's name.
        step: The step.
        breaker: The step's.
        run: Does the work of an attempt.
        unused: Called with an attempt that is held back, and does not use what was reserved for it.
        clock: Measures times.
    """

    def __init__(
        self,
        role: RoleName,
        step: Step[Any],
        breaker: Breaker,
        run: Callable[[Attempt], Coroutine[Any, Any, Outcome]],
        unused: Callable[[Attempt], None],
        clock: Clock,
    ) -> None:
        self._role = role
        self._step = step
        self._breaker = CircuitBreaker(breaker, step.name)
        self._run = run
        self._unused = unused
        self._clock = clock
        self._admitted: dict[Attempt, Admitted] = {}

    async def outcome(self, attempt: Attempt) -> Outcome:
        """Do the work of an attempt, unless it is held back. Attempts at other functions are always
        made.
        """
        if attempt.function is not self._step:
            return await self._run(attempt)
        before = self._breaker.state
        answer = self._breaker.admit(
            self._clock.monotonic(),
            _jitter(attempt.record),
            is_last=attempt.record.attempt + 1 >= self._step.retry.attempts,
        )
        self._log_change(before)
        if isinstance(answer, Held):
            self._unused(attempt)
            return HeldBack(answer.reason, answer.again_in)
        self._admitted[attempt] = answer
        return await self._run(attempt)

    def held_since(self, attempt: Attempt) -> HeldBack | None:
        """Hold back an attempt that has not begun, or is to be tried again, if the breaker has
        opened since it was admitted.
        """
        admitted = self._admitted.get(attempt)
        if (
            admitted is None
            or self._breaker.state is BreakerState.CLOSED
            or self._breaker.is_current(admitted)
        ):
            return None
        held = self._breaker.hold(self._clock.monotonic(), _jitter(attempt.record))
        return HeldBack(held.reason, held.again_in)

    def noting(self, ended: Ended) -> Ended:
        """Note how each attempt has ended, before `ended` is called with it."""

        def noted(attempt: Attempt, outcome: Outcome) -> None:
            self._note(attempt, outcome)
            ended(attempt, outcome)

        return noted

    def describe(self) -> str:
        """Say why runs are held back. Empty: they are not. Thread-safe."""
        return self._breaker.describe(self._clock.monotonic()) or ""

    def _note(self, attempt: Attempt, outcome: Outcome) -> None:
        admitted = self._admitted.pop(attempt, None)
        if admitted is not None:
            before = self._breaker.state
            is_dropped = attempt.is_overtaken and not attempt.is_committed
            failed = None if is_dropped else has_failed(outcome)
            self._breaker.ended(admitted, self._clock.monotonic(), failed=failed)
            self._log_change(before)

    def _log_change(self, before: BreakerState) -> None:
        state = self._breaker.state
        if state is before:
            return
        where = {"role": self._role}
        if state is BreakerState.CLOSED:
            text = "%s: the circuit breaker of %s is closed: its probes succeeded"
            log.info(text, self._role, self._step.name, extra=where)
        else:
            level = logging.WARNING if state is BreakerState.OPEN else logging.INFO
            log.log(level, "%s: %s", self._role, self.describe(), extra=where)


def has_failed(outcome: Outcome) -> bool | None:
    """Whether an outcome says that what the step needs does not work. None: it says nothing.

    A fatal error says something about the run.
    """
    match outcome:
        case Returned():
            return False
        case Failed(fatal=fatal):
            return None if fatal else True
        case HeldBack():
            return None


def _jitter(record: Record) -> float:
    """From 0 to 1, computed from the run, so that runs come back at different times."""
    return zlib.crc32(f"{record.run_id}:{record.version}".encode()) / 2**32
