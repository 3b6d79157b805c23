"""What should run, and what was ever deployed."""

from collections.abc import Sequence

import msgspec

from workflow_ray.errors import DeploymentConflict, PartitionsChanged, StatusRenumbered
from workflow_ray.records import DeployedWorkflow, Deployment
from workflow_ray_adapters.redis.rows import encode
from workflow_ray_adapters.redis.scripts import DEPLOY, DEPLOYED
from workflow_ray_adapters.redis.server import Server, pairs


class Known(msgspec.Struct):
    """The part of a workflow's deployment that is kept for good."""

    partitions: int
    statuses: dict[str, int]


_workflows = msgspec.json.Decoder(tuple[DeployedWorkflow, ...])
_known = msgspec.json.Decoder(dict[str, Known])


async def read(server: Server) -> Deployment:
    return (await _read(server, ""))[0]


async def newer(server: Server, than: int) -> Deployment | None:
    """Return what should run if its version is above `version`."""
    deployment, _ = await _read(server, str(than))
    return deployment if deployment.version > than else None


async def deploy(
    server: Server, expected: int, workflows: Sequence[DeployedWorkflow]
) -> Deployment:
    """Decide here, and let the script write.

    If the version is the expected one, nothing has changed since it was read.
    """
    current, known = await _read(server, "")
    if current.version != expected:
        raise DeploymentConflict(expected, current.version)
    for workflow in workflows:
        _check(workflow, known.get(workflow.name))
    for workflow in workflows:
        before = known.get(workflow.name)
        known[workflow.name] = Known(
            workflow.partitions, {**(before.statuses if before else {}), **workflow.statuses}
        )
    shards = [
        part
        for workflow in workflows
        for group in workflow.groups
        for part in (group, workflow.shards(group))
    ]
    found = await server.call(
        DEPLOY, expected, expected + 1, encode(tuple(workflows)), encode(known), *shards
    )
    if found:
        raise DeploymentConflict(expected, int(found))
    return Deployment(store_id=server.store_id, version=expected + 1, workflows=tuple(workflows))


async def _read(server: Server, above: str) -> tuple[Deployment, dict[str, Known]]:
    """Return what is deployed and what is kept for good, if the version is above `version`."""
    stored = {name.decode(): value for name, value in pairs(await server.call(DEPLOYED, above))}
    if not stored:
        return Deployment(store_id=server.store_id), {}
    workflows = _workflows.decode(stored["workflows"])
    return Deployment(
        store_id=server.store_id, version=int(stored["version"]), workflows=workflows
    ), _known.decode(stored["known"])


def _check(workflow: DeployedWorkflow, known: Known | None) -> None:
    if known is None:
        return
    if known.partitions != workflow.partitions:
        raise PartitionsChanged(workflow.name, known.partitions, workflow.partitions)
    for name, number in workflow.statuses.items():
        if (stored := known.statuses.get(name, number)) != number:
            raise StatusRenumbered(workflow.name, name, stored, number)
