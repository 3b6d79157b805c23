"""Prints the status of a deployment as text for people."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from workflow_ray.cli.output import say
from workflow_ray.cli.status_views import STOPPED, Report, RoleView, StatusView
from workflow_ray.cli.tables import show
from workflow_ray.engine.retention import removed_text
from workflow_ray.runtime.process_status import RolePhase

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


class _StatusRow(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    shards: str
    backlog: int
    in_flight: int | None
    paused: int
    next_retry: str


class _FailureRow(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    failed: str
    foreign_id: str
    reason: str


class _HeldRow(msgspec.Struct, frozen=True, kw_only=True):
    status: str
    held_back: int
    reason: str | None


class _RoleRow(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    phase: str
    held_by: str
    since: str
    why: str


def print_report(report: Report) -> None:
    """Print where it runs, then the statuses, the last failures and the roles."""
    say(_headline(report))
    for line in _notes(report):
        say(line)
    if report.statuses:
        say("")
        columns = ["status", "shards", "backlog", "in_flight", "paused", "next_retry"]
        show([_status_row(each, report.at) for each in report.statuses], columns, as_json=False)
    held = [_held_row(each) for each in report.statuses if each.held_back]
    if held:
        say("")
        show(held, ["status", "held_back", "reason"], as_json=False)
    failures = [_failure_row(each, report.at) for each in report.statuses if each.last_failure]
    if failures:
        say("")
        show(failures, ["status", "failed", "foreign_id", "reason"], as_json=False)
    if report.state == "running" and report.runs_on != "elsewhere":
        _print_roles(report)


def _headline(report: Report) -> str:
    where = report.records
    if report.events != report.records:
        where += f", events on {report.events}"
    if report.state == "empty":
        return f"Nothing is deployed on {where}."
    if report.state == "stopped":
        return f"Nothing runs on {where}. Deployed: {_workflows(report.roles)}."
    if report.runs_on == "elsewhere":
        return f"A process that can't be asked from here has {where} for itself."
    running = _workflows([role for role in report.roles if role.phase != STOPPED])
    if report.runs_on == "ray":
        return f"Ray runs {running} on {where}."
    processes = _processes(report.roles)
    if len(processes) == 1:
        return f"Process {processes[0]} runs {running} on {where}."
    return f"{len(processes)} processes run {running} on {where}."


def _workflows(roles: Sequence[RoleView]) -> str:
    """List the workflows whose steps the roles run."""
    names = dict.fromkeys(role.status.rpartition(".")[0] for role in roles if role.status)
    return ", ".join(names) or "no workflow"


def _notes(report: Report) -> list[str]:
    """List what else the reader has to know, a line for each."""
    notes: list[str] = []
    match report.logs.where:
        case "stderr":
            notes.append("Logs: on the standard error of each process.")
        case "files":
            notes.append(f"Logs: workflow-ray logs; in {report.logs.folder} on each node.")
        case _:
            pass
    notes += [_removed_note(role) for role in report.roles if role.removed]
    if report.state == "stopped":
        notes.append("Start it with `workflow-ray worker` or `workflow-ray deploy`.")
    if report.runs_on == "elsewhere":
        notes.append("It is another user's, or on a Ray cluster that RAY_ADDRESS does not name.")
    if report.delayed_read_until is not None:
        notes.append("There are more retries than were looked at: the next 500.")
    return notes


def _removed_note(role: RoleView) -> str:
    counts = [removed_text(number, name) for name, number in role.removed.items()]
    return f"Retention: {role.name} has removed {', '.join(counts)} since it began."


def _print_roles(report: Report) -> None:
    """Print the roles. One line is enough where one process runs all of them."""
    roles = report.roles
    is_plain = all(
        role.phase == RolePhase.RUNNING
        and not role.failures
        and not role.abandoned
        and not role.breaker
        for role in roles
    )
    if is_plain and report.runs_on == "local" and len(_processes(roles)) == 1:
        say("")
        say(f"Every role runs in it ({len(roles)}).")
        return
    columns = ["role", "phase", "held_by", "since"]
    rows = [_role_row(role, report.at) for role in roles]
    say("")
    show(rows, [*columns, "why"] if any(row.why for row in rows) else columns, as_json=False)


def _status_row(view: StatusView, now: datetime) -> _StatusRow:
    return _StatusRow(
        status=view.status,
        shards=f"{view.running}/{view.shards}" if view.shards else "",
        backlog=view.backlog,
        in_flight=view.in_flight,
        paused=view.paused,
        next_retry="" if view.next_retry_at is None else f"in {_span(now, view.next_retry_at)}",
    )


def _failure_row(view: StatusView, now: datetime) -> _FailureRow:
    assert view.last_failure is not None
    return _FailureRow(
        status=view.status,
        failed=f"{_span(view.last_failure.at, now)} ago",
        foreign_id=view.last_failure.foreign_id,
        reason=view.last_failure.reason,
    )


def _held_row(view: StatusView) -> _HeldRow:
    return _HeldRow(status=view.status, held_back=view.held_back, reason=view.held_back_because)


def _role_row(role: RoleView, now: datetime) -> _RoleRow:
    parts = [
        role.breaker,
        f"{role.abandoned} functions run on after their time limit" if role.abandoned else "",
        f"{role.failures} crashes: {role.why}" if role.failures else role.why,
    ]
    return _RoleRow(
        role=role.name,
        phase=role.phase,
        held_by="" if role.host is None else _process(role),
        since="" if role.since is None else f"{_span(role.since, now)} ago",
        why="; ".join(filter(None, parts)),
    )


def _processes(roles: Sequence[RoleView]) -> list[str]:
    """List the processes that hold roles. The one with the most roles comes first."""
    counted = Counter(_process(role) for role in roles if role.host is not None)
    return [process for process, _ in counted.most_common()]


def _process(role: RoleView) -> str:
    return f"{role.pid} on {role.host}"


def _span(begin: datetime, end: datetime) -> str:
    """Format the time between two moments, in the largest unit that fits.

    It is never negative, although the clocks of two processes may differ.
    """
    seconds = max(0.0, (end - begin).total_seconds())
    for unit, length in UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
