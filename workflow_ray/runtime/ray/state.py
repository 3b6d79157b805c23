"""What the supervisor decides: from what should run and what does, to what to do. Pure: no Ray, no clock of its own."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

import msgspec

from workflow_ray.records import Deployment, Role
from workflow_ray.runtime.hosting import FOR_ALL, roles_of

FIRST_DELAY = 0.2
"""Seconds before the second restart in a row, the first being immediate; each further one waits twice as long..."""
LONGEST_DELAY = 10.0
"""...up to this."""
STEADY = 10.0
"""Seconds at work after which what went before is forgotten."""
DRAINING = 5.0
"""Seconds that a deployment version may keep groups from running. Whoever scales them takes one."""


class Phase(Enum):
    """Where an actor is in its life."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    ENDED = "ended"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What an actor says of itself."""

    phase: Phase
    pid: int
    node: str  # Ray's id of it
    code: str = ""  # that it was started with, as in `Wanted`
    epoch: int | None = None  # of the role that it holds
    why: str = ""  # it ended
    crashed: bool = False  # it ended by an error, and not because it was asked to or has lost its role


@dataclass(frozen=True)
class Wanted:
    """An actor that should run."""

    name: str
    role: Role | None  # None: the adapter actor
    code: str = ""  # changes where an actor that runs has to be restarted

    @property
    def shards_of(self) -> tuple[str, int]:
        """The shards that it belongs to: those of one group and one shard count divide its partitions among them."""
        return (self.role.group, self.role.shards) if self.role else (self.name, 1)


@dataclass(frozen=True)
class Seat:
    """What is known of one name: the actor that holds it, and how those before it fared. Times are in seconds, of any one clock."""

    wanted: Wanted  # as it was when its actor was started
    standing: Standing | None = None  # the last that its actor said; None: it hasn't spoken yet
    occupied: bool = False
    leaving: bool = False  # told to drain
    failures: int = 0  # in a row
    since: float | None = None  # its actor first ran; None: it hasn't yet
    due: float = 0.0  # the next start, if nothing holds the name
    why: str = ""  # the last one ended
    crashed: bool = False  # by an error of its own, not by being killed

    @property
    def running(self) -> bool:
        return self.occupied and not self.leaving and self.standing is not None and self.standing.phase is Phase.RUNNING


@dataclass(frozen=True)
class Start:
    wanted: Wanted


@dataclass(frozen=True)
class Drain:
    name: str


Action: TypeAlias = Start | Drain


def wanted_by(deployment: Deployment, known_for: float = DRAINING) -> list[Wanted]:
    """The roles of a deployment. A change of the source, the place or the statuses of a workflow restarts its roles.

    known_for: seconds since this version was first seen. Groups that are being scaled run again after DRAINING of them.
    """
    draining = {group for workflow in deployment.workflows for group in workflow.draining} if known_for < DRAINING else set[str]()
    code: dict[str, str] = {}
    for workflow in deployment.workflows:
        identity = f"{workflow.reference} {workflow.python_path} {workflow.code} {sorted(workflow.statuses.items())}"
        code |= dict.fromkeys(workflow.groups, identity)
    code |= dict.fromkeys(FOR_ALL, "")  # the same for every workflow
    return [Wanted(role.name, role, code[role.group]) for role in roles_of(deployment.workflows) if role.group not in draining]


def plan(wanted: Iterable[Wanted], seats: Mapping[str, Seat], now: float) -> list[Action]:
    """What brings the actors that run nearer to those that should.

    A role starts once those that leave its shards have left: two of them would work on the same partitions. Shards of
    another count are not waited for: the deployment that changed the count has fenced them off.
    """
    target = {one.name: one for one in wanted}
    outdated = {name for name, seat in seats.items() if seat.occupied and seat.wanted != target.get(name)}
    leaving = {name for name, seat in seats.items() if seat.occupied and seat.leaving}
    held_up = {seats[name].wanted.shards_of for name in outdated | leaving}
    starts = [Start(one) for one in target.values() if one.shards_of not in held_up and _startable(seats.get(one.name), now)]
    return [*(Drain(name) for name in sorted(outdated - leaving)), *starts]


def next_due(wanted: Iterable[Wanted], seats: Mapping[str, Seat], now: float) -> float | None:
    """When, after `now`, a start is due. What was due by then has been started, or is held up by more than time."""
    vacant = [seats[one.name] for one in wanted if one.name in seats and not seats[one.name].occupied]
    return min((seat.due for seat in vacant if seat.due > now), default=None)


def started(seat: Seat | None, wanted: Wanted) -> Seat:
    """The seat with a new actor in it."""
    before = seat or Seat(wanted)
    return Seat(wanted, occupied=True, failures=before.failures, why=before.why, crashed=before.crashed)


def heard(seat: Seat, standing: Standing, now: float) -> Seat:
    """The seat after its actor said how it stands, and with what code it was started: one that was adopted may have older."""
    since = now if seat.since is None and standing.phase is Phase.RUNNING else seat.since
    return replace(seat, wanted=replace(seat.wanted, code=standing.code), standing=standing, since=since)


def vacated(seat: Seat, why: str, now: float) -> Seat:
    """The seat after its actor's end. One that was told to leave, or had worked for a while, leaves no failure behind."""
    steady = seat.leaving or (seat.since is not None and now - seat.since >= STEADY)
    before = 0 if steady else seat.failures
    delay = min(FIRST_DELAY * 2 ** (before - 1), LONGEST_DELAY) if before else 0.0
    failures = 0 if seat.leaving else before + 1
    crashed = seat.standing is not None and seat.standing.crashed
    return replace(seat, standing=None, occupied=False, leaving=False, failures=failures, due=now + delay, why=why, crashed=crashed)


def _startable(seat: Seat | None, now: float) -> bool:
    return seat is None or (not seat.occupied and now >= seat.due)
