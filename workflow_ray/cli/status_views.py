"""The data that `workflow-ray status` shows. These are the fields of its JSON."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

STOPPED = "stopped"
"""The phase of a role that nobody holds."""


class RoleView(msgspec.Struct, frozen=True, kw_only=True):
    """One role, or another actor on Ray. A value that is not known is null or empty."""

    name: str
    status: str | None = None  # as workflow.STATUS; null: the role serves all workflows
    shard: int | None = None
    # running, draining, waiting (for its next start or a node), starting, standby, stopped
    phase: str
    host: str | None = None
    pid: int | None = None
    node: str | None = None  # Ray's id of it
    since: datetime | None = None
    in_flight: int | None = None  # steps that run now
    # functions that exceeded their time limit, and still run; null: it is not known
    abandoned: int | None = None
    # why its circuit breaker holds runs back, or it deletes no data; empty: neither, or not known
    breaker: str = ""
    # what retention has removed since the role began, by its field; empty: nothing, or not known
    removed: dict[str, int] = {}
    failures: int | None = None  # crashes of the role in a row
    why: str = ""  # the last crash, or what it waits for
    failed_at: datetime | None = None  # the last crash
    log: str = ""  # the path of its log file on its node
    output: str = ""  # the path of the file that it prints to


class FailureView(msgspec.Struct, frozen=True, kw_only=True):
    """The last failed attempt at a status, of the runs that were read."""

    at: datetime
    reason: str
    run_id: str
    foreign_id: str
    is_final: bool  # the run is paused by it; else it is tried again


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """A status that has a step, or runs that have not ended."""

    status: str  # as workflow.STATUS; the number where the name is not known
    number: int
    shards: int  # 0: it has no step
    running: int  # shards whose role runs
    backlog: int  # runs at the status that are not paused, those in flight included
    in_flight: int | None  # steps that run now; null: it is not known
    lag: int | None  # events that its roles have not finished; null: it is not known
    paused: int  # runs, those paused by an error included
    next_retry_at: datetime | None  # the first of the delayed events that were read
    held_back: int  # runs whose step is held back, of the delayed events that were read
    held_back_because: str | None  # the reason of the run that was held back last
    last_failure: FailureView | None


class LogsView(msgspec.Struct, frozen=True, kw_only=True):
    """Where the processes write their logs."""

    where: str  # stderr: of the processes; files: see `folder`; or nowhere
    folder: str = ""  # of the files, one for each role; the same path on each node


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What runs on a store, and the progress of its runs."""

    records: str
    events: str
    state: str  # running; stopped: deployed, but nothing runs; empty: nothing is deployed
    runs_on: str | None  # local, ray, null, or elsewhere: a process that can't be asked from here
    at: datetime  # by the store's clock
    statuses: Sequence[StatusView] = ()
    roles: Sequence[RoleView] = ()
    logs: LogsView
    # null: all delayed events were read; else those that get due after this time were not
    delayed_read_until: datetime | None = None
