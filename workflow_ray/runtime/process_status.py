"""The status of a process that runs roles. It sends this to other processes."""

from datetime import datetime
from enum import StrEnum

import msgspec


class RolePhase(StrEnum):
    """The names are those of the actors' phases on Ray."""

    RUNNING = "running"
    DRAINING = "draining"  # it finishes what it has in hand
    WAITING = "waiting"  # for its next start: it has crashed


class RoleStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of one role that a process holds. Times are by the process's clock."""

    name: str
    phase: RolePhase
    since: datetime  # it was acquired
    in_flight: int | None = None  # steps that run now; None: it has no step, or does not run
    # functions that exceeded their time limit, and still run
    abandoned: int = 0
    # why the circuit breaker of its step holds runs back, or why the data role deletes no data; "":
    # neither is so
    breaker: str = ""
    # how many runs, histories or keys the data role has removed since it began, by the field of
    # Retention
    removed: dict[str, int] = {}
    failures: int = 0  # crashes since it was acquired
    why: str = ""  # the last crash
    failed_at: datetime | None = None  # the last crash


class ProcessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a process that runs roles on an embedded store."""

    host: str
    pid: int
    since: datetime  # its runtime was entered
    roles: tuple[RoleStatus, ...] = ()
