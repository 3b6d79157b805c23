"""Keeping a deployment running on Ray."""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace

from workflow_ray.definition.ray_options import NOTHING
from workflow_ray.runtime.hosting import group_roles
from workflow_ray.runtime.ray.actor_status import (
    ActorStatus,
    are_prepared,
    are_settled,
    status_for,
    status_of,
)
from workflow_ray.runtime.ray.actors import STORE, ActorGone
from workflow_ray.runtime.ray.end_log import EndLog
from workflow_ray.runtime.ray.noticed import Noticed
from workflow_ray.runtime.ray.placement import PLACING, Placement
from workflow_ray.runtime.ray.registry import ActorRegistry, RegisteredActor, role_named
from workflow_ray.runtime.ray.silence import HEARTBEATS, ActorSilent, answer_of, is_silent
from workflow_ray.runtime.ray.state import (
    ActorReport,
    Drain,
    Phase,
    Slot,
    Start,
    Wanted,
    after_end,
    after_report,
    after_start,
    forget_failures,
    next_due,
    plan,
)
from workflow_ray.runtime.ray.target import Target

log = logging.getLogger(__name__)

POLL = 5.0
"""Seconds between two passes while nothing happens."""
DRAIN = 10.0
"""Seconds that a role gets to finish its work in hand, before it is killed..."""
SLACK = 1.0
"""...and to report that it has."""


class Supervision:
    """Reconciles the actors that run with the deployment, which the record store keeps. It notices
    at once that an actor ends.

    It acquires no role and needs no fence, because it writes nothing. Drivers write the deployment
    by compare-and-swap, and each actor fences its role by acquiring it. There can be two
    supervisors, if a node is declared dead and is not: then one may end an actor, by its id, and
    the other starts it again. It reads the deployment each time before it ends an actor.
    """

    def __init__(self, registry: ActorRegistry, *, silent: float) -> None:
        """Start supervising.

        Args:
            registry: Starts, finds and kills actors.
            silent: Seconds for which an actor may fail to answer; then it is killed.
        """
        self._registry = registry
        self._silent = silent
        self._target = Target(registry)
        self._placement = Placement()
        self._slots: dict[str, Slot] = {}
        self._actors: dict[str, RegisteredActor] = {}
        self._version = 0  # of the deployment in the last pass
        self._changed = asyncio.Event()  # there is something for the next pass
        self._noticed = Noticed()  # that a status has changed
        self._ends = EndLog()
        self._tasks: set[asyncio.Task[None]] = set()
        self._supervising = [
            self._spawn(self._reconcile()),
            self._spawn(self._target.follow(self.refresh)),
        ]

    def refresh(self) -> None:
        """Read the deployment now."""
        self._changed.set()

    def status(self) -> list[ActorStatus]:
        """Return the status of every actor that should run, or runs, by name."""
        names = sorted(
            {one.name for one in self._target.wanted()}
            | {name for name, slot in self._slots.items() if slot.occupied}
        )
        return [status_of(name, self._slots.get(name)) for name in names]

    async def settled(
        self, names: Sequence[str], wait: float, version: int = 0
    ) -> list[ActorStatus]:
        """Return the status of these actors, once all run, or one is hopeless, or after a while.
        Those that wait for a node are not waited for.

        Args:
            names: The names of the actors.
            wait: Seconds.
            version: The version of the deployment that they are to run for. An actor that was
                started for an earlier one does not count as running.
        """

        def current() -> list[ActorStatus]:
            if self._version < version:  # failures for an earlier one do not count
                return [status_of(name, None) for name in names]
            target = {one.name: one for one in self._target.wanted()}
            return [status_for(name, self._slots.get(name), target.get(name)) for name in names]

        await self._noticed.wait_for(lambda: are_settled(current()), wait)
        return current()

    async def prepare(self, group: str, shards: int, wait: float) -> None:
        """Start the actors of a group's next shard count, and keep them on standby for a while.

        Returns once all are prepared, or one is hopeless, or after `wait` seconds. The deployment
        decides whether they stay: this supervisor may die before the count changes.
        """
        self._target.prepare(group, shards)
        self.refresh()
        names = [role.name for role in group_roles(group, shards)]

        def current() -> list[ActorStatus]:
            return [status_of(name, self._slots.get(name)) for name in names]

        await self._noticed.wait_for(lambda: are_prepared(current()), wait)

    async def restart(self, names: Sequence[str]) -> None:
        """Have those of these actors end that run. The next pass starts all of them."""
        forget_failures(self._slots, lambda slot: slot.wanted.name in names)
        self.refresh()
        occupied = [name for name in names if name in self._slots and self._slots[name].occupied]
        await asyncio.gather(*(self._drain(name, DRAIN) for name in occupied))

    async def shutdown(self, deadline: float) -> None:
        """End all actors, and start none from now on.

        The roles are drained for up to `deadline` seconds; then the adapter actor is.
        """
        for task in self._supervising:
            task.cancel()
        occupied = [name for name, slot in self._slots.items() if slot.occupied]
        await asyncio.gather(*(self._drain(name, deadline) for name in occupied if name != STORE))
        if STORE in occupied:
            await self._drain(STORE, deadline)

    # --- passes ---------------------------------------------------------------------------------

    async def _reconcile(self) -> None:
        while True:
            self._changed.clear()
            pause = POLL
            try:
                pause = await self._pass()
            except Exception:  # the next pass begins with the state that it finds
                log.exception("a pass of the supervisor failed; the next one follows")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()

    async def _pass(self) -> float:
        """Start and end actors. Returns the seconds to the next pass, if nothing happens."""
        self._attach()
        up_to_date = await self._read_target()
        await self._learn_version()
        wanted, now = self._target.wanted(), time.monotonic()
        for action in plan(wanted, self._slots, now):
            match action:
                case Start(one):
                    self._start(one)
                    await asyncio.sleep(0)  # Ray blocks while it registers each: answer calls
                case Drain(name):
                    if up_to_date:
                        self._spawn(self._drain(name, DRAIN))
        due = next_due(wanted, self._slots, now)
        return POLL if due is None else min(POLL, due - now)

    async def _learn_version(self) -> None:
        """Start what could not be loaded again at once, if the deployment is a newer one."""
        if self._version != self._target.deployment.version:
            self._version = self._target.deployment.version
            forget_failures(self._slots, lambda slot: slot.unusable)
            await self._notice()

    def _attach(self) -> None:
        """Follow the actors that an earlier supervisor started."""
        for name in self._registry.names():
            if name not in self._actors:
                wanted = Wanted(name, role_named(name))
                slot = after_start(self._slots.get(name), wanted, attached=True)
                with suppress(ActorGone):
                    self._occupy(self._registry.attach(name), slot)

    async def _read_target(self) -> bool:
        """Read the deployment. False: the store does not answer, and the last answer holds."""
        store = self._slots.get(STORE)
        return store is not None and store.is_running and await self._target.read()

    def _start(self, wanted: Wanted) -> None:
        slot = after_start(self._slots.get(wanted.name), wanted, asks=self._placement.of(wanted))
        try:
            self._occupy(self._registry.start(wanted, self._target.deployment, slot.asks), slot)
        except ActorGone as error:
            self._slots[wanted.name] = after_end(slot, str(error), time.monotonic())

    def _occupy(self, actor: RegisteredActor, slot: Slot) -> None:
        name = slot.wanted.name
        self._actors[name] = actor
        self._slots[name] = slot
        self._spawn(self._watch(name, actor))
        if slot.asks != NOTHING:
            self._spawn(self._expect(name, actor))

    # --- one actor ------------------------------------------------------------------------------

    async def _expect(self, name: str, actor: RegisteredActor) -> None:
        """Note that the actor waits for a node, if it has not reported after a while."""
        await asyncio.sleep(PLACING)
        if self._actors.get(name) is actor and self._slots[name].report is None:
            self._slots[name] = replace(self._slots[name], is_unplaced=True)
            self._ends.log_unplaced(self._slots[name])
            await self._notice()

    async def _watch(self, name: str, actor: RegisteredActor) -> None:
        """Follow an actor to its end."""
        try:
            why = await self._follow(name, actor)
        except (ActorGone, ActorSilent) as error:
            why = str(error)
        except Exception as error:
            log.exception("%s does not report", name, extra={"role": name})
            why = f"{type(error).__name__}: {error}"
        try:
            # It is dead or about to end. This frees its name.
            await self._registry.kill(name, actor)
        finally:
            del self._actors[name]
            self._slots[name] = after_end(self._slots[name], why, time.monotonic())
            self._ends.log(self._slots[name])
            await self._notice()

    async def _follow(self, name: str, actor: RegisteredActor) -> str:
        seen: Phase | None = None
        while True:
            report = await self._next_report(name, actor, seen)
            if report.phase is seen:
                continue
            self._slots[name] = after_report(self._slots[name], report, time.monotonic())
            self._placement.learn(self._slots[name])
            await self._notice()
            if report.phase is Phase.ENDED:
                return report.why
            seen = report.phase

    async def _next_report(
        self, name: str, actor: RegisteredActor, seen: Phase | None
    ) -> ActorReport:
        """Ask the actor for its report. It answers at its next phase, or after a while.

        Raises ActorGone, ActorSilent.
        """
        pause = self._silent / HEARTBEATS

        async def gives_up(pauses: int) -> bool:
            return is_silent(self._slots[name], pauses) and await self._may_kill(name)

        return await answer_of(actor.ask("report", seen, pause), pause, gives_up)

    async def _may_kill(self, name: str) -> bool:
        """Whether the deployment could be read just now. The adapter actor itself is needed to read
        it.
        """
        return name == STORE or await self._read_target()

    async def _drain(self, name: str, deadline: float) -> None:
        """Have an actor end. If it does not, it is killed, by its id."""
        actor, slot = self._actors.get(name), self._slots[name]
        if actor is None:
            return
        self._slots[name] = replace(slot, draining=True)
        if not slot.is_unplaced:  # else it can't answer
            with suppress(ActorGone, TimeoutError):
                async with asyncio.timeout(deadline + SLACK):
                    await actor.ask("drain", deadline)
        await self._registry.kill(name, actor)

    async def _notice(self) -> None:
        self._changed.set()
        await self._noticed.notify()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop keeps only a weak reference
        task.add_done_callback(self._tasks.discard)
        return task
