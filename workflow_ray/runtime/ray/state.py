"""The supervisor's decisions: which actors to start and to end next.

Pure: without Ray, and without a clock of its own.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import TypeAlias

import msgspec

from workflow_ray.definition import RayOptions
from workflow_ray.definition.ray_options import NOTHING
from workflow_ray.records import Deployment, Role
from workflow_ray.runtime.hosting import FOR_ALL, group_roles, roles_of

FIRST_DELAY = 0.2
"""Seconds before the second restart in a row. The first one is immediate; each further one waits
twice as long...
"""
LONGEST_DELAY = 10.0
"""...up to this."""
UNUSABLE_DELAY = 5.0
"""Seconds before the first restart of an actor whose definition can't be loaded; each further one
waits twice as long...
"""
LONGEST_UNUSABLE_DELAY = 300.0
"""...up to this. A newer deployment starts it at once."""
STEADY = 10.0
"""Seconds for which an actor has to run until its earlier failures are forgotten."""
DRAINING = 5.0
"""Seconds for which a deployment version can stop groups. Scaling takes about one second."""


class Phase(Enum):
    """The phases of an actor's life."""

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
    code: str = ""  # as in `Wanted`, when it was started
    epoch: int | None = None  # of the role that it holds
    host: str = ""
    since: datetime | None = None  # it has been running, by its node's clock
    log: str = ""  # the path of its log file on its node; "": it has none
    output: str = ""  # the path of the file that it prints to; "": it is not known
    why: str = ""  # it ended
    # it ended by an error, not because it was asked to or has lost its role
    crashed: bool = False
    # its workflow's definition can't be loaded, so that another actor would end too
    unusable: bool = False
    # it ended because its step asks for something else than it was started with
    asks: RayOptions | None = None


@dataclass(frozen=True)
class Wanted:
    """An actor that should run."""

    name: str
    role: Role | None  # None: the adapter actor
    code: str = ""  # a running actor is restarted when this changes

    @property
    def shard_set(self) -> tuple[str, int]:
        """The set of shards that it belongs to: those of one group and one shard count, which share
        the group's partitions.
        """
        return (self.role.group, self.role.shards) if self.role else (self.name, 1)


@dataclass(frozen=True)
class Slot:
    """What is known of one name: the actor that holds it, and how earlier actors of the name ended.

    Times are in seconds, all of one clock.
    """

    wanted: Wanted  # when its actor was started
    # an earlier supervisor has started its actor, whose report will tell its code
    attached: bool = False
    report: ActorReport | None = None  # the last one of its actor; None: it has not reported yet
    occupied: bool = False
    draining: bool = False  # its actor was asked to drain
    failures: int = 0  # in a row
    since: float | None = None  # its actor has been running; None: it has not run yet
    due: float = 0.0  # the next start, if no actor holds the name
    why: str = ""  # the last actor ended
    crashed: bool = False  # the last actor ended by an error of its own, not by being killed
    unusable: bool = False  # the last actor could not load its workflow's definition
    asks: RayOptions = NOTHING  # what its actor was started with
    is_unplaced: bool = False  # its actor waits for a node that has what it asks for
    is_replaced: bool = False  # the last actor told what the next one is to ask for

    @property
    def is_running(self) -> bool:
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
    """Return the actors of a deployment's roles.

    A change of the code, the place or the statuses of a workflow restarts its roles.

    Args:
        deployment: The newest one that is known.
        known_for: Seconds since this version was first read. Groups that are being scaled run again
            after DRAINING seconds.
        prepared: Groups that are about to be scaled, with their next shard counts. The actors of
            these counts are wanted too, even while their group drains, and stay after the change.
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
    """Return the next actions towards the actors that should run.

    A role starts once no actor of its set of shards drains, because two would work on the same
    partitions. Shards of another count are not waited for: the deployment that changed the count
    has fenced them off.
    """
    target = {one.name: one for one in wanted}
    outdated = {
        name
        for name, slot in slots.items()
        if slot.occupied and _is_outdated(slot, target.get(name))
    }
    draining = {name for name, slot in slots.items() if slot.occupied and slot.draining}
    held_up = {slots[name].wanted.shard_set for name in outdated | draining}
    starts = [
        Start(one)
        for one in target.values()
        if one.shard_set not in held_up and _can_start(slots.get(one.name), now)
    ]
    return [*(Drain(name) for name in sorted(outdated - draining)), *starts]


def next_due(wanted: Iterable[Wanted], slots: Mapping[str, Slot], now: float) -> float | None:
    """Return the time after `now` at which the next start is due. None: none is.

    Starts that are due by now have been made, or wait for something else.
    """
    vacant = [
        slots[one.name] for one in wanted if one.name in slots and not slots[one.name].occupied
    ]
    return min((slot.due for slot in vacant if slot.due > now), default=None)


def after_start(
    slot: Slot | None, wanted: Wanted, *, attached: bool = False, asks: RayOptions = NOTHING
) -> Slot:
    """Return the slot with a new actor in it."""
    before = slot or Slot(wanted)
    return Slot(
        wanted,
        attached,
        occupied=True,
        failures=before.failures,
        why=before.why,
        crashed=before.crashed,
        unusable=before.unusable,
        asks=asks,
    )


def after_report(slot: Slot, report: ActorReport, now: float) -> Slot:
    """Return the slot after a report of its actor.

    The report tells the actor's code, because an actor that an earlier supervisor started may have
    older code.
    """
    since = now if slot.since is None and report.phase is Phase.RUNNING else slot.since
    wanted = replace(slot.wanted, code=report.code)
    return replace(slot, wanted=wanted, report=report, since=since, is_unplaced=False)


def after_end(slot: Slot, why: str, now: float) -> Slot:
    """Return the slot after its actor's end.

    Earlier failures are forgotten if the actor was asked to drain, or has run for STEADY seconds.
    The first actor that tells what it asks for has not failed. One that was started with that, and
    asks for something else, has: its definition may differ from node to node.
    """
    has_told = slot.report is not None and slot.report.asks is not None
    is_replaced = has_told and slot.asks == NOTHING
    steady = slot.draining or (slot.since is not None and now - slot.since >= STEADY)
    before = 0 if steady else slot.failures
    crashed = slot.report is not None and slot.report.crashed
    unusable = slot.report is not None and slot.report.unusable
    return replace(
        slot,
        report=None,
        occupied=False,
        draining=False,
        failures=before if slot.draining or is_replaced else before + 1,
        due=now if is_replaced else now + _delay(before, unusable=unusable),
        why=why,
        crashed=crashed,
        unusable=unusable,
        is_unplaced=False,
        is_replaced=is_replaced,
    )


def forget_failures(slots: dict[str, Slot], which: Callable[[Slot], bool]) -> None:
    """Let the actors of some slots start at once, those that do not run, as if none had failed."""
    for name, slot in slots.items():
        if which(slot) and not slot.occupied:
            slots[name] = replace(slot, failures=0, due=0.0, crashed=False, unusable=False)


def _delay(failures: int, *, unusable: bool) -> float:
    """Return the seconds before the next start.

    Args:
        failures: In a row, before the last one.
        unusable: Whether the workflow's definition can't be loaded.
    """
    if unusable:
        return min(UNUSABLE_DELAY * 2.0**failures, LONGEST_UNUSABLE_DELAY)
    return min(FIRST_DELAY * 2.0 ** (failures - 1), LONGEST_DELAY) if failures else 0.0


def _on_standby(current: Iterable[Role], prepared: Mapping[str, int]) -> list[Role]:
    """Return the roles of shard counts that are prepared and not set yet, of deployed groups."""
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


def _can_start(slot: Slot | None, now: float) -> bool:
    return slot is None or (not slot.occupied and now >= slot.due)
