"""Batches: the attempts at a batch step that one call of its function takes together."""

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

import msgspec

from workflow_ray.definition import BatchStep, Workflow
from workflow_ray.engine.next_version import MAX_REASON
from workflow_ray.engine.transition import Failed, HeldBack, Outcome
from workflow_ray.engine.visible import visible
from workflow_ray.ports import Clock
from workflow_ray.records import Record, RoleName, RunId
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.batch_calls import Outcomes
from workflow_ray.roles.steps import OLD, still_asks

log = logging.getLogger(__name__)

_blocking: weakref.WeakKeyDictionary[Workflow[Any, Any], set[RunId]] = weakref.WeakKeyDictionary()
"""The runs of batches that have blocked an event loop of this process."""


class Member:
    """An attempt in a batch, and its outcome once it has one."""

    __slots__ = ("attempt", "outcome")

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def set(self, outcome: Outcome) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class Batch:
    """Attempts that begin together."""

    __slots__ = ("members", "ready", "task")

    def __init__(self) -> None:
        self.members: list[Member] = []
        self.ready = asyncio.Event()  # it waits for no further attempts
        self.task: asyncio.Task[Any] | None = None  # that runs it

    def leave(self) -> None:
        """Note that an attempt was abandoned. When nobody waits any more, the batch is too."""
        if self.task is not None and all(member.outcome.done() for member in self.members):
            self.task.cancel()


class Batches:
    """Collects attempts into batches, and runs these, up to a number at a time.

    An attempt that is in doubt, or that was in a batch that has blocked the event loop, is a batch
    of its own, so that what it does concerns no other run.

    Args:
        workflow: The workflow of the runs.
        role: The role's name.
        step: The batch step.
        call: Calls the function with the runs of some attempts.
        otherwise: Does the work of an attempt at another function.
        read: Reads records. It may return only those of the first runs.
        spawn: Starts a task whose errors end the role.
        clock: Measures waits.
    """

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        role: RoleName,
        step: BatchStep[Any],
        call: Callable[[Sequence[Attempt]], Awaitable[Outcomes]],
        otherwise: Callable[[Attempt], Coroutine[Any, Any, Outcome]],
        read: Callable[[Sequence[RunId]], Awaitable[dict[RunId, Record | None]]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        clock: Clock,
    ) -> None:
        self._role = role
        self._step = step
        self._call = call
        self._otherwise = otherwise
        self._read = read
        self._spawn = spawn
        self._clock = clock
        self._blocking = _blocking.setdefault(workflow, set())
        self._slots = asyncio.Semaphore(step.max_batches)
        self._reserved = set[Attempt]()  # each has the slot of a batch that it begins
        self._collecting: Batch | None = None  # attempts may join it
        self._wait = step.max_wait
        self.held_since: Callable[[Attempt], HeldBack | None] | None = None
        """Holds back an attempt in a batch that has not begun, or that is tried again in parts."""

    async def outcome(self, attempt: Attempt) -> Outcome:
        """Let an attempt at the batch step join a batch, and return its outcome. Cancelling this
        abandons the attempt.
        """
        if attempt.function is not self._step:
            return await self._otherwise(attempt)
        member = Member(attempt)
        batch = self._joined(member)
        try:
            outcome = await member.outcome
        except asyncio.CancelledError:
            batch.leave()
            raise
        if len(batch.members) == 1 and not isinstance(outcome, HeldBack):
            self._blocking.discard(attempt.record.run_id)
        return outcome

    async def reserve(self, attempt: Attempt) -> None:
        """Wait until the attempt can begin as a batch of its own. Then begin it, or `give_back`."""
        if attempt.function is self._step:
            await self._slots.acquire()
            self._reserved.add(attempt)

    def give_back(self, attempt: Attempt) -> None:
        """Give back what was reserved for the attempt and was not used."""
        if attempt in self._reserved:
            self._reserved.remove(attempt)
            self._slots.release()

    def hurry(self) -> None:
        """Let the batch that is being collected wait for no further attempts."""
        if self._collecting is not None:
            self._collecting.ready.set()

    def finish(self) -> None:
        """As `hurry`, for all batches from now on: the role stops."""
        self._wait = 0.0
        self.hurry()

    def blocked(self, attempts: Iterable[Attempt]) -> None:
        """Note that a batch blocks the event loop. Its runs are batches of their own from now on.
        Thread-safe.
        """
        self._blocking.update(attempt.record.run_id for attempt in attempts)

    def _joined(self, member: Member) -> Batch:
        """Add the attempt to a batch, and return that."""
        attempt = member.attempt
        is_alone = attempt.is_alone or attempt.record.run_id in self._blocking
        batch = None if is_alone else self._collecting
        if batch is None:
            batch = Batch()
            self._spawn(self._run(batch))
            if not is_alone:
                self._collecting = batch
        batch.members.append(member)
        if is_alone or len(batch.members) >= self._step.max_batch:
            batch.ready.set()
            self._close(batch)
        return batch

    def _close(self, batch: Batch) -> None:
        if self._collecting is batch:
            self._collecting = None

    async def _run(self, batch: Batch) -> None:
        """Wait until the batch begins, then run it."""
        batch.task = asyncio.current_task()
        try:
            await self._clock.wait(batch.ready, self._wait)
            first = batch.members[0].attempt
            if first not in self._reserved:
                await self._slots.acquire()
                self._reserved.add(first)
            self._close(batch)
            await self._try(batch.members)
        finally:
            self._close(batch)
            self.give_back(batch.members[0].attempt)

    async def _try(self, members: list[Member]) -> None:
        """Call the function with all of them. Where that fails, try halves."""
        left = [members]
        is_logged = False
        while left:
            some = await self._wanted(left.pop())
            if not some:
                continue
            outcomes = await self._call([member.attempt for member in some])
            if not isinstance(outcomes, Failed):
                for member, outcome in zip(some, outcomes, strict=True):
                    member.set(outcome)
                continue
            smaller = _smaller(some, outcomes)
            if len(smaller) > 1 and not is_logged:
                self._log(some, outcomes)
                is_logged = True
            left += reversed(smaller)

    async def _wanted(self, members: list[Member]) -> list[Member]:
        """The attempts without an outcome whose runs still ask for the step. The records that are
        old are read again.
        """
        members = [member for member in members if not member.outcome.done()]
        if self.held_since is not None:
            members = _not_held(members, self.held_since)
        now = self._clock.monotonic()
        old = [member for member in members if member.attempt.read_at < now - OLD]
        if not old:
            return members
        found = await self._read([member.attempt.record.run_id for member in old])
        for member in old:
            attempt = member.attempt
            run_id = attempt.record.run_id
            if run_id in found:
                attempt.read_at = now
                if not still_asks(attempt, found[run_id]):
                    attempt.is_overtaken = True
                    member.set(Failed("the run has moved on"))
        return [member for member in members if not member.outcome.done()]

    def _log(self, members: Sequence[Member], failed: Failed) -> None:
        """Log that a batch is tried in halves. This is called once for each batch."""
        log.warning(
            "%s: a batch of %d runs of step %s failed: %s. Trying it in halves.",
            self._role,
            len(members),
            self._step.name,
            visible(failed.error[:MAX_REASON]).removesuffix("."),
            extra={"role": self._role},
        )


def _not_held(
    members: list[Member], held_since: Callable[[Attempt], HeldBack | None]
) -> list[Member]:
    left: list[Member] = []
    for member in members:
        if (held := held_since(member.attempt)) is None:
            left.append(member)
        else:
            member.set(held)
    return left


def _smaller(members: list[Member], failed: Failed) -> list[list[Member]]:
    """What to try after a failure, in order. The failure of one attempt is its outcome.

    A run that moves on makes `once` raise, which says nothing about the other runs.
    """
    if len(members) == 1:
        members[0].set(failed)
        return []
    staying = [member for member in members if not member.attempt.is_overtaken]
    for member in members:
        if member.attempt.is_overtaken:
            member.set(failed)
        else:
            _let_find_results(member.attempt)
    if len(staying) < len(members):
        return [staying]
    half = len(members) // 2
    return [members[:half], members[half:]]


def _let_find_results(attempt: Attempt) -> None:
    """Let the next call find the results of `once` that the last one may have stored."""
    if not attempt.record.has_results:
        attempt.record = msgspec.structs.replace(attempt.record, has_results=True)
