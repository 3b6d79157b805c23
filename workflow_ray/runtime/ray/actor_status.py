"""The status of a deployment's actors, for drivers and the command line."""

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
    # starting, standby, running, draining; waiting: for its next start; failing: it waits too, and
    # its workflow's definition can't be loaded
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

    @property
    def is_running(self) -> bool:
        return self.phase == Phase.RUNNING.value

    @property
    def is_prepared(self) -> bool:
        """Whether it can acquire its role as soon as that is wanted."""
        return self.is_running or self.phase == Phase.STANDBY.value

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


def status_of(name: str, slot: Slot | None) -> ActorStatus:
    """Return the status of the actor that has this name, or should have it."""
    if slot is None:
        return ActorStatus(name=name, phase=WAITING)
    past = ActorStatus(
        name=name, phase=WAITING, failures=slot.failures, why=slot.why, crashed=slot.crashed
    )
    if not slot.occupied:
        return msgspec.structs.replace(past, phase=FAILING) if slot.unusable else past
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
    """As `status_of`; but an actor that runs, and is not the wanted one, counts as draining."""
    status = status_of(name, slot)
    is_outdated = status.is_running and slot is not None and slot.wanted != wanted
    return msgspec.structs.replace(status, phase=Phase.DRAINING.value) if is_outdated else status
