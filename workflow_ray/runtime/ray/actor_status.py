"""The status of a deployment's actors, for drivers and the command line."""

from collections.abc import Collection
from datetime import datetime

import msgspec

from workflow_ray.runtime.ray.state import Phase, Slot, Wanted

HOPELESS = 2
"""Failures in a row after which nobody waits for an actor that ends by its own errors."""
WAITING = "waiting"
FAILING = "failing"


class ActorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one actor of a deployment."""

    name: str  # of its role; `store`, the adapter actor; `supervisor`
    # starting, standby, running, draining; waiting: for its next start, or for a node; failing: it
    # waits too, and its workflow's definition can't be loaded
    phase: str
    pid: int | None = None
    node: str | None = None  # Ray's id of it
    epoch: int | None = None  # of its role
    host: str = ""
    since: datetime | None = None  # it has been running, by its node's clock
    log: str = ""  # the path of its log file on its node; "": it has none
    output: str = ""  # the path of the file that it prints to; "": it is not known
    failures: int = 0  # in a row
    why: str = ""  # the previous actor of this name ended
    crashed: bool = False  # by an error of its own, not by being killed
    is_unplaced: bool = False  # it waits for a node that has what it asks for; `why` says for what

    @property
    def is_settled(self) -> bool:
        """Whether it runs, or would run if the cluster had a node for it."""
        return self.is_running or self.is_unplaced

    @property
    def is_running(self) -> bool:
        return self.phase == Phase.RUNNING.value

    @property
    def is_prepared(self) -> bool:
        """Whether it can acquire its role as soon as that is wanted, or a node is there for it."""
        return self.is_settled or self.phase == Phase.STANDBY.value

    @property
    def is_hopeless(self) -> bool:
        """Whether waiting until it runs is useless."""
        if self.is_failing:
            return True
        return not self.is_prepared and self.crashed and self.failures >= HOPELESS

    @property
    def is_failing(self) -> bool:
        """Whether its workflow's definition can't be loaded. `why` says the reason."""
        return self.phase == FAILING


def are_settled(actors: Collection[ActorStatus]) -> bool:
    """Whether waiting until all of them run is over, or useless."""
    return all(one.is_settled for one in actors) or any(one.is_hopeless for one in actors)


def are_prepared(actors: Collection[ActorStatus]) -> bool:
    """Whether waiting until all of them are prepared is over, or useless."""
    return all(one.is_prepared for one in actors) or any(one.is_hopeless for one in actors)


def status_of(name: str, slot: Slot | None) -> ActorStatus:
    """Return the status of the actor that has this name, or should have it."""
    if slot is None:
        return ActorStatus(name=name, phase=WAITING)
    past = ActorStatus(
        name=name, phase=WAITING, failures=slot.failures, why=slot.why, crashed=slot.crashed
    )
    if not slot.occupied:
        return msgspec.structs.replace(past, phase=FAILING) if slot.unusable else past
    if slot.is_unplaced:
        why = f"it waits for a node with {slot.asks}"
        return msgspec.structs.replace(past, failures=0, why=why, is_unplaced=True)
    if slot.report is None:
        return msgspec.structs.replace(past, phase=Phase.STARTING.value)
    now = slot.report
    phase = Phase.DRAINING if slot.draining else now.phase
    return msgspec.structs.replace(
        past,
        phase=phase.value,
        pid=now.pid,
        node=now.node,
        epoch=now.epoch,
        host=now.host,
        since=now.since,
        log=now.log,
        output=now.output,
    )


def status_for(name: str, slot: Slot | None, wanted: Wanted | None) -> ActorStatus:
    """As `status_of`; but an actor that runs or waits for a node, and is not the wanted one, counts
    as draining.
    """
    status = status_of(name, slot)
    if slot is None or slot.wanted == wanted or not status.is_settled:
        return status
    return msgspec.structs.replace(status, phase=Phase.DRAINING.value, is_unplaced=False)
