"""Finds who holds each role of a deployment, from the answer of a process, the store or Ray."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from workflow_ray.cli.status_views import STOPPED, RoleView
from workflow_ray.cli.views import Names
from workflow_ray.records import Deployment, RoleHolder, RoleName, consumer_group
from workflow_ray.runtime.hosting import roles_of
from workflow_ray.runtime.process_status import ProcessStatus, RolePhase

if TYPE_CHECKING:
    from workflow_ray.runtime.ray.actor_status import ActorStatus

_WORKER = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]+")


def held_by_process(process: ProcessStatus) -> list[RoleView]:
    """List the roles of the only process that runs roles on an embedded store."""
    return [
        RoleView(
            name=role.name,
            phase=role.phase.value,
            host=process.host,
            pid=process.pid,
            since=role.since,
            in_flight=role.in_flight,
            abandoned=role.abandoned,
            breaker=role.breaker,
            removed=role.removed,
            failures=role.failures,
            why=role.why,
            failed_at=role.failed_at,
        )
        for role in process.roles
    ]


def held_by_workers(holders: Iterable[RoleHolder]) -> list[RoleView]:
    """List the roles that workers share by leases."""
    return [_held_by_worker(holder.role, holder.worker) for holder in holders]


def held_by_actors(
    actors: "Iterable[ActorStatus]",
    in_flight: Mapping[str, int],
    breakers: Mapping[str, str],
    removed: Mapping[str, dict[str, int]] | None = None,
) -> list[RoleView]:
    """List the actors on Ray, including the ones that have no role.

    Args:
        actors: Their status.
        in_flight: The steps that run now, by actor.
        breakers: Why circuit breakers hold runs back, by actor.
        removed: What retention has removed, by actor. None: it is not known.
    """
    return [
        RoleView(
            name=actor.name,
            phase=actor.phase,
            host=actor.host or None,
            pid=actor.pid,
            node=actor.node,
            since=actor.since,
            in_flight=in_flight.get(actor.name),
            breaker=breakers.get(actor.name, ""),
            removed=(removed or {}).get(actor.name, {}),
            failures=actor.failures,
            why=actor.why,
            log=actor.log,
            output=actor.output,
        )
        for actor in actors
    ]


def deployed_roles(
    deployment: Deployment, names: Names, held: Sequence[RoleView]
) -> list[RoleView]:
    """List every deployed role with its holder, then everything else that runs.

    A role that nobody holds has the phase STOPPED.
    """
    by_name = {role.name: role for role in held}
    statuses = status_of_group(deployment, names)
    roles = roles_of(deployment.workflows)
    shown = [
        replace(
            by_name.pop(role.name, RoleView(name=role.name, phase=STOPPED)),
            status=statuses.get(role.group),
            shard=role.shard,
        )
        for role in roles
    ]
    return [*shown, *by_name.values()]


def status_of_group(deployment: Deployment, names: Names) -> dict[str, str]:
    """Map each group that runs a step to its status, written as workflow.STATUS."""
    return {
        group: f"{workflow.name}.{names.status(workflow.name, number)}"
        for workflow in deployment.workflows
        for number in workflow.statuses.values()
        if (group := consumer_group(workflow.name, number)) in workflow.groups
    }


def _held_by_worker(role: RoleName, worker: str) -> RoleView:
    found = _WORKER.fullmatch(worker)
    return RoleView(
        name=role,
        phase=RolePhase.RUNNING.value,
        host=found["host"] if found else worker,
        pid=int(found["pid"]) if found else None,
    )
