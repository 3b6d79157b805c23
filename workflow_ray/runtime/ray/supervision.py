"""What keeps a deployment running on Ray."""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec

from workflow_ray.errors import StoreError
from workflow_ray.records import Deployment
from workflow_ray.runtime.ray.actor_status import ActorStatus, status_of
from workflow_ray.runtime.ray.actors import STORE, ActorGone
from workflow_ray.runtime.ray.registry import THE_STORE, ActorRegistry, RegisteredActor, role_named
from workflow_ray.runtime.ray.state import (
    ActorReport,
    Drain,
    Phase,
    Slot,
    Start,
    Wanted,
    next_due,
    plan,
    reported,
    started,
    vacated,
    wanted_by,
)

log = logging.getLogger(__name__)

POLL = 5.0
"""Seconds between two passes while nothing happens."""
DRAIN = 10.0
"""Seconds that a role gets to finish what it has in hand, before it is killed..."""
SLACK = 1.0
"""...and to report that it has."""


class Supervision:
    """Reconciles the actors that should run, which the record store keeps, with those that do. It
    notices an end as it happens.

    It acquires no role and needs no fence, because it writes nothing. Drivers write what should run,
    by compare-and-swap; each role that it starts is fenced by being acquired. There can be two
    supervisors, if a node is declared dead and is not: then one may end an actor, which it
    addresses by id, and the other starts it again. It ends none without having read just before
    what should run.
    """

    def __init__(self, registry: ActorRegistry) -> None:
        self._registry = registry
        self._deployment = Deployment(store_id="")
        self._seen_at = time.monotonic()  # when this version of it was first seen
        self._slots: dict[str, Slot] = {}
        self._actors: dict[str, RegisteredActor] = {}
        self._changed = asyncio.Event()  # there is something for the next pass
        self._noticed = asyncio.Condition()  # a status has changed
        self._tasks: set[asyncio.Task[None]] = set()
        self._reconciling = self._spawn(self._reconcile())

    def refresh(self) -> None:
        """Read now what should run."""
        self._changed.set()

    def status(self) -> list[ActorStatus]:
        """The status of every actor that should run, or does; by name."""
        names = sorted({one.name for one in self._wanted()} | {name for name, slot in self._slots.items() if slot.occupied})
        return [status_of(name, self._slots.get(name)) for name in names]

    async def settled(self, names: Sequence[str], wait: float, version: int = 0) -> list[ActorStatus]:
        """The status of these actors, once all run or one of them is hopeless, or after `wait` seconds.

        Args:
            names: The actors'.
            wait: Seconds.
            version: Of the deployment that they are to run for. An actor that was started for
                another one does not count as running.
        """

        def current() -> list[ActorStatus]:
            target = {one.name: one for one in self._wanted()} if self._deployment.version >= version else {}
            return [self._for_target(name, target.get(name)) for name in names]

        def is_settled() -> bool:
            return all(one.running for one in current()) or any(one.hopeless for one in current())

        with suppress(TimeoutError):
            async with asyncio.timeout(wait), self._noticed:
                await self._noticed.wait_for(is_settled)
        return current()

    def _for_target(self, name: str, wanted: Wanted | None) -> ActorStatus:
        """The actor's status; draining, if it runs and is not the one wanted."""
        slot = self._slots.get(name)
        status = status_of(name, slot)
        outdated = status.running and slot is not None and slot.wanted != wanted
        return msgspec.structs.replace(status, phase=Phase.DRAINING.value) if outdated else status

    async def shutdown(self, deadline: float) -> None:
        """End all actors, and start none from now on.

        The roles are drained for up to `deadline` seconds; then the adapter actor is.
        """
        self._reconciling.cancel()
        occupied = [name for name, slot in self._slots.items() if slot.occupied]
        await asyncio.gather(*(self._drain(name, deadline) for name in occupied if name != STORE))
        if STORE in occupied:
            await self._drain(STORE, deadline)

    # --- passes ----------------------------------------------------------------------------------

    async def _reconcile(self) -> None:
        while True:
            self._changed.clear()
            pause = POLL
            try:
                pause = await self._pass()
            except Exception:  # whatever it is, the next pass starts from what is there then
                log.exception("a pass of the supervisor failed")
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._changed.wait()

    async def _pass(self) -> float:
        """Do what is to be done now. Returns the seconds until the next pass, if nothing happens before."""
        self._attach()
        up_to_date = await self._read_deployment()
        wanted, now = self._wanted(), time.monotonic()
        for action in plan(wanted, self._slots, now):
            match action:
                case Start(one):
                    self._start(one)
                case Drain(name):
                    if up_to_date:
                        self._spawn(self._drain(name, DRAIN))
        due = next_due(wanted, self._slots, now)
        return POLL if due is None else min(POLL, due - now)

    def _wanted(self) -> list[Wanted]:
        return [THE_STORE, *wanted_by(self._deployment, time.monotonic() - self._seen_at)]

    def _attach(self) -> None:
        """Follow the actors that an earlier supervisor started."""
        target = {one.name: one for one in self._wanted()}
        for name in self._registry.names():
            if name not in self._actors:
                with suppress(ActorGone):
                    wanted = target.get(name) or Wanted(name, role_named(name))
                    self._occupy(self._registry.attach(name), wanted)

    async def _read_deployment(self) -> bool:
        """Read what should run. False: the store does not answer, and the last answer holds."""
        store = self._slots.get(STORE)
        if store is None or not store.running:
            return False
        try:
            deployment = await self._registry.deployment()
            if deployment.version != self._deployment.version:
                self._seen_at = time.monotonic()
            self._deployment = deployment
        except StoreError as error:
            log.warning("%s", error)
            return False
        return True

    def _start(self, wanted: Wanted) -> None:
        try:
            self._occupy(self._registry.start(wanted, self._deployment), wanted)
        except ActorGone as error:
            self._slots[wanted.name] = vacated(started(self._slots.get(wanted.name), wanted), str(error), time.monotonic())

    def _occupy(self, actor: RegisteredActor, wanted: Wanted) -> None:
        self._actors[wanted.name] = actor
        self._slots[wanted.name] = started(self._slots.get(wanted.name), wanted)
        self._spawn(self._watch(wanted.name, actor))

    # --- one actor -------------------------------------------------------------------------------

    async def _watch(self, name: str, actor: RegisteredActor) -> None:
        """Follow an actor to its end."""
        try:
            why = await self._follow(name, actor)
        except ActorGone as error:
            why = str(error)
        except Exception as error:
            log.exception("%s does not report", name, extra={"role": name})
            why = f"{type(error).__name__}: {error}"
        try:
            await self._registry.kill(name, actor)  # it is dead or about to end: this frees its name
        finally:
            del self._actors[name]
            self._slots[name] = vacated(self._slots[name], why, time.monotonic())
            log.warning("%s ended: %s", name, why, extra={"role": name})
            await self._notice()

    async def _follow(self, name: str, actor: RegisteredActor) -> str:
        seen: Phase | None = None
        while True:
            report: ActorReport = await actor.ask("report", seen)
            self._slots[name] = reported(self._slots[name], report, time.monotonic())
            await self._notice()
            if report.phase is Phase.ENDED:
                return report.why
            seen = report.phase

    async def _drain(self, name: str, deadline: float) -> None:
        """Have an actor end. One that does not is killed, by id."""
        actor, slot = self._actors.get(name), self._slots[name]
        if actor is None:
            return
        self._slots[name] = replace(slot, draining=True)
        with suppress(ActorGone, TimeoutError):
            async with asyncio.timeout(deadline + SLACK):
                await actor.ask("drain", deadline)
        await self._registry.kill(name, actor)

    async def _notice(self) -> None:
        self._changed.set()
        async with self._noticed:
            self._noticed.notify_all()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself would let it be collected
        task.add_done_callback(self._tasks.discard)
        return task
