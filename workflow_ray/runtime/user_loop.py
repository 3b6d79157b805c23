"""Running roles in the event loop of user code, from the engine's loop."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from workflow_ray.engine.interrupts import is_interrupt
from workflow_ray.errors import WorkflowError
from workflow_ray.ports import Clock, Store, persist
from workflow_ray.roles.loopwatch import CHECK, PATIENCE, LoopWatch, Occupant, reason
from workflow_ray.runtime.role_runner import LoopLost, RoleWork

log = logging.getLogger(__name__)

COUNTING = 5.0
"""Seconds for which storing the failed attempt of a step that blocks the loop is tried."""
ENDING = 15.0
"""Seconds that released roles get to end, once the loop answers again."""

MayRun: TypeAlias = Callable[[bool], Awaitable[None]]
"""Called with whether roles that run user code may run. With False, those held are released."""


@dataclass(eq=False)
class _Role:
    """A role that runs in the user's loop.

    `stop` and `task` belong to the user's loop, `outcome` to the engine's.
    """

    outcome: "asyncio.Future[BaseException | None]"
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[BaseException | None] | None" = None


class UserLoop:
    """Runs roles in the user's loop, and gives them up if user code blocks it for too long.

    It is made in the user's loop. Its methods are called in the engine's.

    Args:
        store: The roles call it in the user's loop.
        patience: Seconds for which user code may block the loop.
    """

    def __init__(self, store: Store, *, patience: float = PATIENCE) -> None:
        self._loop = asyncio.get_running_loop()
        self._store = store
        self._patience = patience
        self._watch = LoopWatch(self._loop)
        self._roles = set[_Role]()
        self._given_up = asyncio.Event()

    async def run(self, work: RoleWork, stop: asyncio.Event) -> None:
        """Run a role in the user's loop until `stop`, and raise what it raises.

        If this is cancelled, the role is cancelled, and its end is waited for.

        Raises:
            LoopLost: The loop has ended or is blocked. The role is cancelled once it answers.
        """
        role = _Role(asyncio.get_running_loop().create_future())
        self._roles.add(role)
        role.outcome.add_done_callback(lambda _: self._roles.discard(role))
        self.call_soon(self._begin, role, work, asyncio.get_running_loop())
        forwarding = asyncio.create_task(self._forward(stop, role))
        try:
            await self._end_of(role)
        except asyncio.CancelledError:
            self.call_soon(_cancel, role)
            with contextlib.suppress(LoopLost):
                await self._end_of(role)
            raise
        finally:
            forwarding.cancel()

    async def watch(self, records: Store, clock: Clock, may_run: MayRun) -> None:
        """Watch the loop until cancelled, or until it is closed. Log what blocks it, and give up
        its roles while it is blocked for longer than the patience.

        Args:
            records: Stores the failed attempt of the step that blocks the loop.
            clock: Measures the waits.
            may_run: See MayRun.
        """
        while not self._loop.is_closed():
            await asyncio.sleep(CHECK)
            try:
                await self._look(records, clock, may_run)
            except Exception:
                log.exception("watching the event loop of the steps failed; it goes on")
        self._given_up.set()

    async def _look(self, records: Store, clock: Clock, may_run: MayRun) -> None:
        try:
            silence = self._watch.check()
        except RuntimeError:  # the loop was closed meanwhile
            return
        if silence >= self._patience and not self._given_up.is_set():
            await self._give_up(silence, records, clock, may_run)
        elif silence == 0.0 and self._given_up.is_set():
            await self._resume(may_run)

    async def _give_up(self, silence: float, records: Store, clock: Clock, may_run: MayRun) -> None:
        log.error(
            "the event loop has not answered for %.0f s: roles that run steps are released until it"
            " does",
            silence,
        )
        try:
            # Before the roles are released, because the write names their fence.
            if occupant := self._watch.occupant():
                await _count(occupant, silence, records, clock)
            await may_run(False)
        finally:
            self._given_up.set()

    async def _resume(self, may_run: MayRun) -> None:
        if self._roles:
            await asyncio.wait({role.outcome for role in self._roles}, timeout=ENDING)
        self._given_up.clear()
        await may_run(True)

    async def _end_of(self, role: _Role) -> None:
        giving_up = asyncio.create_task(self._given_up.wait())
        either: set[asyncio.Future[Any]] = {role.outcome, giving_up}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            giving_up.cancel()
        if not role.outcome.done():
            self.call_soon(_cancel, role)
            raise LoopLost
        if error := role.outcome.result():
            raise error

    async def _forward(self, stop: asyncio.Event, role: _Role) -> None:
        await stop.wait()
        self.call_soon(role.stop.set)

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        """Call something in the user's loop soon. Raises LoopLost: it has ended."""
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            raise LoopLost from None

    # --- in the user's loop ---------------------------------------------------------------------

    def _begin(self, role: _Role, work: RoleWork, engine: asyncio.AbstractEventLoop) -> None:
        role.task = asyncio.create_task(self._outcome(role, work))
        role.task.add_done_callback(lambda task: _report(task, role, engine))

    async def _outcome(self, role: _Role, work: RoleWork) -> BaseException | None:
        """Return what the role raised: a SystemExit that a task raises would end the loop."""
        try:
            await work(self._store, role.stop)
        except BaseException as error:
            if is_interrupt(error):
                raise
            return error
        return None


def _cancel(role: _Role) -> None:
    if role.task is not None:
        role.task.cancel()


def _report(
    task: "asyncio.Task[BaseException | None]", role: _Role, engine: asyncio.AbstractEventLoop
) -> None:
    """Tell the engine's loop how a role has ended. Called in the user's loop."""
    is_interrupted = task.cancelled() or task.exception() is not None
    outcome = LoopLost() if is_interrupted else task.result()
    with contextlib.suppress(RuntimeError):  # if the engine's loop is closed, nobody waits
        engine.call_soon_threadsafe(role.outcome.set_result, outcome)


async def _count(occupant: Occupant, silence: float, records: Store, clock: Clock) -> None:
    """Count the attempt of the step that blocks the loop as failed."""
    group = occupant.failed_write(reason(silence))
    try:
        await persist(lambda: records.store([group]), clock, occupant.role, patience=COUNTING)
    except WorkflowError as error:
        log.warning("the attempt of %s was not counted: %s", occupant, error)
