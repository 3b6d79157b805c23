"""The status of a deployment's actors, as drivers and the command line show it."""

from datetime import datetime

import msgspec

from workflow_ray.runtime.ray.state import Phase, Slot, Wanted

HOPELESS = 2
"""Failures in a row after which an actor that ends by its own errors is not waited for."""
WAITING = "waiting"
FAILING = "failing"


class ActorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one actor of a deployment."""

    name: str  # of its role; `store`, the adapter actor; `supervisor`
    # starting, standby, running, draining; waiting: for its next start; failing: likewise, but its
    # workflow's definition can't be loaded
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
    def running(self) -> bool:
        return self.phase == Phase.RUNNING.value

    @property
    def prepared(self) -> bool:
        """Whether nothing keeps it from acquiring its role, once that is wanted."""
        return self.running or self.phase == Phase.STANDBY.value

    @property
    def hopeless(self) -> bool:
        """Whether it is useless to wait for it any longer."""
        if self.failing:
            return True
        return not self.prepared and self.crashed and self.failures >= HOPELESS

    @property
    def failing(self) -> bool:
        """Whether its workflow's definition can't be loaded; `why` says more."""
        return self.phase == FAILING


def status_of(name: str, slot: Slot | None) -> ActorStatus:
    """The status of the actor that has this name, or should have."""
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
    """The status of an actor that should be the wanted one. One that runs and is another one counts
    as draining.
    """
    status = status_of(name, slot)
    is_outdated = status.running and slot is not None and slot.wanted != wanted
    return msgspec.structs.replace(status, phase=Phase.DRAINING.value) if is_outdated else status
