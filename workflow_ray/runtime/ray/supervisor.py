"""What keeps a deployment running on Ray."""

import asyncio
import logging
import os
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec

from workflow_ray.errors import StoreError
from workflow_ray.records import Deployment
from workflow_ray.runtime.ray.actors import STORE, SUPERVISOR, ActorGone, find, this_node
from workflow_ray.runtime.ray.crew import THE_STORE, Crew, Member, RayCrew, role_named
from workflow_ray.runtime.ray.state import Drain, Phase, Seat, Standing, Start, Wanted, heard, next_due, plan, started, vacated, wanted_by
from workflow_ray.runtime.ray.stores import Deployed

log = logging.getLogger(__name__)

POLL = 5.0
"""Seconds between looks at what should run, when nothing happens and nobody says that it has changed."""
DRAIN = 10.0
"""Seconds that a role gets to finish what it has in hand, before it is killed..."""
SLACK = 1.0
"""...and to say that it has."""
HOPELESS = 2
"""Failures in a row after which an actor that ends by its own errors is waited for no longer."""

WAITING = "waiting"


class ActorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one actor of a deployment fares."""

    name: str  # of its role; `store`, the adapter actor; `supervisor`
    phase: str  # starting, running, draining; waiting: for its next start
    pid: int | None = None
    node: str | None = None  # Ray's id of it
    epoch: int | None = None  # of its role
    failures: int = 0  # in a row
    why: str = ""  # the one before ended
    crashed: bool = False  # by an error of its own, not by being killed

    @property
    def running(self) -> bool:
        return self.phase == Phase.RUNNING.value

    @property
    def hopeless(self) -> bool:
        """Whether waiting for it helps no more."""
        return not self.running and self.crashed and self.failures >= HOPELESS


class Supervision:
    """Reconciles what should run, which the record store keeps, with the actors that do. Notices an end as it happens.

    It acquires no role and needs no fence: it writes nothing. What should run is written by drivers, by compare-and-swap; what it
    starts is fenced by acquiring its role; and of two supervisors, if a node is declared dead and isn't, the worst that comes is that
    one ends an actor, which it addresses by id, and that the other starts it again. It ends none without having read just before what
    should run.
    """

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._deployment = Deployment(store_id="")
        self._seen_at = time.monotonic()  # this version of it, first
        self._seats: dict[str, Seat] = {}
        self._members: dict[str, Member] = {}
        self._changed = asyncio.Event()  # something for the next pass
        self._noticed = asyncio.Condition()  # something for those who wait
        self._tasks: set[asyncio.Task[None]] = set()
        self._reconciling = self._spawn(self._reconcile())

    def refresh(self) -> None:
        """Look now at what should run."""
        self._changed.set()

    def status(self) -> list[ActorStatus]:
        """Every actor that should run, or does; by name."""
        names = sorted({one.name for one in self._wanted()} | {name for name, seat in self._seats.items() if seat.occupied})
        return [_status(name, self._seats.get(name)) for name in names]

    async def settled(self, names: Sequence[str], wait: float, version: int = 0) -> list[ActorStatus]:
        """How these stand, once all are running or one of them is hopeless; after `wait` seconds anyhow.

        version: of the deployment that they are to run for; one that was started for another isn't running yet.
        """

        def stand() -> list[ActorStatus]:
            target = {one.name: one for one in self._wanted()} if self._deployment.version >= version else {}
            return [self._for_target(name, target.get(name)) for name in names]

        def clear() -> bool:
            return all(one.running for one in stand()) or any(one.hopeless for one in stand())

        with suppress(TimeoutError):
            async with asyncio.timeout(wait), self._noticed:
                await self._noticed.wait_for(clear)
        return stand()

    def _for_target(self, name: str, wanted: Wanted | None) -> ActorStatus:
        """How the actor stands; about to leave, if it runs and isn't the one wanted."""
        seat = self._seats.get(name)
        status = _status(name, seat)
        outdated = status.running and seat is not None and seat.wanted != wanted
        return msgspec.structs.replace(status, phase=Phase.DRAINING.value) if outdated else status

    async def shutdown(self, deadline: float) -> None:
        """End all actors: the roles, drained for up to `deadline` seconds, then the store's. Starts none any more."""
        self._reconciling.cancel()
        occupied = [name for name, seat in self._seats.items() if seat.occupied]
        await asyncio.gather(*(self._drain(name, deadline) for name in occupied if name != STORE))
        if STORE in occupied:
            await self._drain(STORE, deadline)

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
        """Do what is to be done now. Returns the seconds until there may be more, if nothing happens before."""
        self._adopt()
        up_to_date = await self._read_deployment()
        wanted, now = self._wanted(), time.monotonic()
        for action in plan(wanted, self._seats, now):
            match action:
                case Start(one):
                    self._start(one)
                case Drain(name):
                    if up_to_date:
                        self._spawn(self._drain(name, DRAIN))
        due = next_due(wanted, self._seats, now)
        return POLL if due is None else min(POLL, due - now)

    def _wanted(self) -> list[Wanted]:
        return [THE_STORE, *wanted_by(self._deployment, time.monotonic() - self._seen_at)]

    def _adopt(self) -> None:
        """Take charge of actors that run already: a supervisor before this one started them."""
        target = {one.name: one for one in self._wanted()}
        for name in self._crew.present():
            if name not in self._members:
                with suppress(ActorGone):
                    wanted = target.get(name) or Wanted(name, role_named(name))
                    self._seat(self._crew.adopt(name), wanted)

    async def _read_deployment(self) -> bool:
        """Learn what should run; False: the store can't say, and what it said last holds."""
        store = self._seats.get(STORE)
        if store is None or not store.running:
            return False
        try:
            deployment = await self._crew.deployment()
            if deployment.version != self._deployment.version:
                self._seen_at = time.monotonic()
            self._deployment = deployment
        except StoreError as error:
            log.warning("%s", error)
            return False
        return True

    def _start(self, wanted: Wanted) -> None:
        try:
            self._seat(self._crew.hire(wanted, self._deployment), wanted)
        except ActorGone as error:
            self._seats[wanted.name] = vacated(started(self._seats.get(wanted.name), wanted), str(error), time.monotonic())

    def _seat(self, member: Member, wanted: Wanted) -> None:
        self._members[wanted.name] = member
        self._seats[wanted.name] = started(self._seats.get(wanted.name), wanted)
        self._spawn(self._watch(wanted.name, member))

    async def _watch(self, name: str, member: Member) -> None:
        """Follow an actor to its end."""
        try:
            why = await self._follow(name, member)
        except ActorGone as error:
            why = str(error)
        except Exception as error:
            log.exception("%s doesn't say how it stands", name, extra={"role": name})
            why = f"{type(error).__name__}: {error}"
        try:
            await self._crew.dismiss(name, member)  # it is dead or about to leave: this frees its name
        finally:
            del self._members[name]
            self._seats[name] = vacated(self._seats[name], why, time.monotonic())
            log.warning("%s ended: %s", name, why, extra={"role": name})
            await self._notice()

    async def _follow(self, name: str, member: Member) -> str:
        seen: Phase | None = None
        while True:
            standing: Standing = await member.ask("standing", seen)
            self._seats[name] = heard(self._seats[name], standing, time.monotonic())
            await self._notice()
            if standing.phase is Phase.ENDED:
                return standing.why
            seen = standing.phase

    async def _drain(self, name: str, deadline: float) -> None:
        """Have an actor leave. One that doesn't is killed, by id."""
        member, seat = self._members.get(name), self._seats[name]
        if member is None:
            return
        self._seats[name] = replace(seat, leaving=True)
        with suppress(ActorGone, TimeoutError):
            async with asyncio.timeout(deadline + SLACK):
                await member.ask("drain", deadline)
        await self._crew.dismiss(name, member)

    async def _notice(self) -> None:
        self._changed.set()
        async with self._noticed:
            self._noticed.notify_all()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself would let it be collected
        task.add_done_callback(self._tasks.discard)
        return task


class Supervisor:
    """The supervisor's actor. Ray restarts it; it finds what runs by its names."""

    def __init__(self, deployed: Deployed) -> None:
        self._deployed = deployed
        self._supervision = Supervision(RayCrew(deployed))

    async def deployed(self) -> Deployed:
        return self._deployed

    async def refresh(self) -> None:
        self._supervision.refresh()

    async def status(self) -> list[ActorStatus]:
        me = ActorStatus(name=SUPERVISOR, phase=Phase.RUNNING.value, pid=os.getpid(), node=this_node())
        return [me, *self._supervision.status()]

    async def settled(self, names: Sequence[str], wait: float, version: int) -> list[ActorStatus]:
        return await self._supervision.settled(names, wait, version)

    async def shutdown(self, deadline: float) -> None:
        """End all actors, this one last: whoever asked for it need not be there any more. It gets no answer."""
        await self._supervision.shutdown(deadline)
        find(SUPERVISOR, self._deployed.namespace).kill()


def _status(name: str, seat: Seat | None) -> ActorStatus:
    if seat is None:
        return ActorStatus(name=name, phase=WAITING)
    past = ActorStatus(name=name, phase=WAITING, failures=seat.failures, why=seat.why, crashed=seat.crashed)
    if not seat.occupied:
        return past
    if seat.standing is None:
        return msgspec.structs.replace(past, phase=Phase.STARTING.value)
    now, phase = seat.standing, Phase.DRAINING if seat.leaving else seat.standing.phase
    return msgspec.structs.replace(past, phase=phase.value, pid=now.pid, node=now.node, epoch=now.epoch)
