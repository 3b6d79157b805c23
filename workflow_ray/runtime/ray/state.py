"""What the supervisor decides: from the actors that should run and those that do, what to do next.

Pure: no Ray, and no clock of its own.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import TypeAlias

import msgspec

from workflow_ray.records import Deployment, Role
from workflow_ray.runtime.hosting import FOR_ALL, group_roles, roles_of

FIRST_DELAY = 0.2
"""Seconds before the second restart in a row, the first being immediate; each further one waits
twice as long...
"""
LONGEST_DELAY = 10.0
"""...up to this."""
UNUSABLE_DELAY = 5.0
"""As FIRST_DELAY, for an actor whose definition can't be loaded; the first restart waits too..."""
LONGEST_UNUSABLE_DELAY = 300.0
"""...up to this. A deploy of other code starts it at once."""
STEADY = 10.0
"""Seconds of running after which earlier failures are forgotten."""
DRAINING = 5.0
"""Seconds for which a deployment version can stop groups. Scaling takes about one second."""


class Phase(Enum):
    """How far an actor has come."""

    STARTING = "starting"
    STANDBY = "standby"  # it acquires its role once the shard count of its group has changed
    RUNNING = "running"
    DRAINING = "draining"
    ENDED = "ended"


class ActorReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an actor reports of itself."""

    phase: Phase
    pid: int
    node: str  # Ray's id of it
    code: str = ""  # that it was started with, as in `Wanted`
    epoch: int | None = None  # of the role that it holds
    host: str = ""
    since: datetime | None = None  # it has been running, by its node's clock
    log: str = ""  # the path of its log file on its node; "": it has none
    output: str = ""  # the path of the file that it prints to; "": it is not known
    why: str = ""  # it ended
    # it ended by an error, and not because it was asked to or has lost its role
    crashed: bool = False
    # its workflow's definition can't be loaded, so that another actor would end likewise
    unusable: bool = False


@dataclass(frozen=True)
class Wanted:
    """An actor that should run."""

    name: str
    role: Role | None  # None: the adapter actor
    code: str = ""  # a running actor is restarted when this changes

    @property
    def shards_of(self) -> tuple[str, int]:
        """The shards that it belongs to.

        Shards of one group and one shard count divide the group's partitions among them.
        """
        return (self.role.group, self.role.shards) if self.role else (self.name, 1)


@dataclass(frozen=True)
class Slot:
    """What is known of one name: the actor that holds it, and how earlier actors of the name ended.

    Times are in seconds, of any one clock.
    """

    wanted: Wanted  # as it was when its actor was started
    # an earlier supervisor started its actor, whose report will say its code
    attached: bool = False
    report: ActorReport | None = None  # the last one of its actor; None: it has not reported yet
    occupied: bool = False
    draining: bool = False  # its actor was told to drain
    failures: int = 0  # in a row
    since: float | None = None  # its actor has been running; None: it has not run yet
    due: float = 0.0  # the next start, if no actor holds the name
    why: str = ""  # the last actor ended
    crashed: bool = False  # the last actor ended by an error of its own, not by being killed
    unusable: bool = False  # the last actor could not load its workflow's definition

    @property
    def running(self) -> bool:
        return (
            self.occupied
            and not self.draining
            and self.report is not None
            and self.report.phase is Phase.RUNNING
        )


@dataclass(frozen=True)
class Start:
    wanted: Wanted


@dataclass(frozen=True)
class Drain:
    name: str


Action: TypeAlias = Start | Drain


def wanted_by(
    deployment: Deployment,
    known_for: float = DRAINING,
    prepared: Mapping[str, int] | None = None,
) -> list[Wanted]:
    """The roles of a deployment.

    A change of the source, the place or the statuses of a workflow restarts its roles.

    Args:
        known_for: Seconds since this version was first seen. Groups that are being scaled run again
            after DRAINING seconds.
        prepared: Groups that are about to be scaled, and their next shard counts. Roles of those
            counts are wanted too, also while their group drains. The change keeps their actors.
    """
    draining = (
        {group for workflow in deployment.workflows for group in workflow.draining}
        if known_for < DRAINING
        else set[str]()
    )
    code: dict[str, str] = {}
    for workflow in deployment.workflows:
        identity = (
            f"{workflow.reference} {workflow.python_path} {workflow.code}"
            f" {sorted(workflow.statuses.items())}"
        )
        code |= dict.fromkeys(workflow.groups, identity)
    code |= dict.fromkeys(FOR_ALL, "")  # the same for every workflow
    current = roles_of(deployment.workflows)
    roles = [role for role in current if role.group not in draining]
    roles += _on_standby(current, prepared or {})
    return [Wanted(role.name, role, code[role.group]) for role in roles]


def plan(wanted: Iterable[Wanted], slots: Mapping[str, Slot], now: float) -> list[Action]:
    """The next actions that bring the running actors nearer to those that should run.

    A role starts once all actors that drain have left its shards: two of them would work on the
    same partitions. Shards of another count are not waited for: the deployment that changed the
    count has fenced them off.
    """
    target = {one.name: one for one in wanted}
    outdated = {
        name
        for name, slot in slots.items()
        if slot.occupied and _is_outdated(slot, target.get(name))
    }
    draining = {name for name, slot in slots.items() if slot.occupied and slot.draining}
    held_up = {slots[name].wanted.shards_of for name in outdated | draining}
    starts = [
        Start(one)
        for one in target.values()
        if one.shards_of not in held_up and _can_start(one, slots.get(one.name), now)
    ]
    return [*(Drain(name) for name in sorted(outdated - draining)), *starts]


def next_due(wanted: Iterable[Wanted], slots: Mapping[str, Slot], now: float) -> float | None:
    """When, after `now`, a start is due.

    What was due by then has been started, or waits for more than time.
    """
    vacant = [
        slots[one.name] for one in wanted if one.name in slots and not slots[one.name].occupied
    ]
    return min((slot.due for slot in vacant if slot.due > now), default=None)


def started(slot: Slot | None, wanted: Wanted, *, attached: bool = False) -> Slot:
    """The slot with a new actor in it."""
    before = slot or Slot(wanted)
    return Slot(
        wanted,
        attached,
        occupied=True,
        failures=before.failures,
        why=before.why,
        crashed=before.crashed,
        unusable=before.unusable,
    )


def reported(slot: Slot, report: ActorReport, now: float) -> Slot:
    """The slot after a report of its actor.

    The report names the code that the actor was started with: one that an earlier supervisor
    started may have older code.
    """
    since = now if slot.since is None and report.phase is Phase.RUNNING else slot.since
    return replace(slot, wanted=replace(slot.wanted, code=report.code), report=report, since=since)


def vacated(slot: Slot, why: str, now: float) -> Slot:
    """The slot after its actor's end.

    An actor that was told to drain, or had run for STEADY seconds, leaves no earlier failure
    behind.
    """
    steady = slot.draining or (slot.since is not None and now - slot.since >= STEADY)
    before = 0 if steady else slot.failures
    crashed = slot.report is not None and slot.report.crashed
    unusable = slot.report is not None and slot.report.unusable
    return replace(
        slot,
        report=None,
        occupied=False,
        draining=False,
        failures=0 if slot.draining else before + 1,
        due=now + _delay(before, unusable=unusable),
        why=why,
        crashed=crashed,
        unusable=unusable,
    )


def forgiven(slot: Slot) -> Slot:
    """The slot, whose next actor is started at once, as if none had failed."""
    return replace(slot, failures=0, due=0.0, crashed=False, unusable=False)


def _delay(failures: int, *, unusable: bool) -> float:
    """Seconds before the next start, after so many failures before the last one."""
    if unusable:
        return min(UNUSABLE_DELAY * 2.0**failures, LONGEST_UNUSABLE_DELAY)
    return min(FIRST_DELAY * 2.0 ** (failures - 1), LONGEST_DELAY) if failures else 0.0


def _on_standby(current: Iterable[Role], prepared: Mapping[str, int]) -> list[Role]:
    """The roles of the shard counts that are prepared and not set yet, in deployed groups."""
    counts = {role.group: role.shards for role in current}
    ahead = {
        group: shards for group, shards in prepared.items() if counts.get(group, shards) != shards
    }
    return [role for group, shards in ahead.items() for role in group_roles(group, shards)]


def _is_outdated(slot: Slot, wanted: Wanted | None) -> bool:
    """Whether the slot's actor is not the wanted one, as far as its code is known."""
    if wanted is not None and slot.attached and slot.report is None:
        return slot.wanted.role != wanted.role
    return slot.wanted != wanted


def _can_start(wanted: Wanted, slot: Slot | None, now: float) -> bool:
    if slot is None:
        return True
    is_mended = slot.unusable and slot.wanted != wanted  # other code was deployed
    return not slot.occupied and (now >= slot.due or is_mended)
