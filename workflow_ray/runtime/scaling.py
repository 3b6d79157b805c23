"""Changes of a step's shard count while it runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import TypeAlias

import msgspec

from workflow_ray.client.deployed import find_deployed
from workflow_ray.definition.arguments import is_count
from workflow_ray.errors import DeploymentConflict, InvalidInput, WorkflowError
from workflow_ray.ports import Clock, RecordStore, SystemClock
from workflow_ray.records import DeployedWorkflow, Deployment, consumer_group

log = logging.getLogger(__name__)

DRAIN = 1.0
"""Seconds that the old shards get to finish and release; then they are fenced off."""
LOOK = 0.05
"""Seconds between two looks at whether they have released."""

Prepare: TypeAlias = Callable[[str, int], Awaitable[None]]
"""Starts the processes of a group's next shard count, while the current shards still work."""


async def scale(
    records: RecordStore,
    workflow: str,
    status: int,
    *,
    shards: int | None,
    clock: Clock | None = None,
    prepare: Prepare | None = None,
) -> int:
    """Set the shard count of a status's step, whatever the code says.

    The new shards are prepared first, if that is possible. Then the current shards finish their
    work in hand, for DRAIN seconds. The change fences off all of them at once, dead or alive. If
    it is cut off before that, they begin again within seconds. Safe to repeat.

    Args:
        records: Where the workflow is deployed.
        workflow: Its name.
        status: The stored number.
        shards: From 1 to the workflow's partitions. None: the count in the code.
        clock: Default: the machine's.
        prepare: Called with the group and its new count, if the count changes. If this fails, the
            count still changes; it takes longer until the new shards work.

    Returns:
        The count that holds now.

    Raises:
        UnknownWorkflow: It isn't deployed there.
        InvalidInput: The status has no step, or can't have that many shards; nothing was written.
    """
    clock = clock or SystemClock()
    while True:
        try:
            return await _scale_once(records, workflow, status, shards, clock, prepare)
        except DeploymentConflict:
            continue


async def _scale_once(
    records: RecordStore,
    name: str,
    status: int,
    shards: int | None,
    clock: Clock,
    prepare: Prepare | None,
) -> int:
    deployment = await records.deployment()
    current = find_deployed(deployment, name)
    group = _checked_group(current, status, shards)
    others = {other: count for other, count in current.scaled.items() if other != group}
    target = msgspec.structs.replace(
        current, scaled=others if shards is None else {**others, group: shards}, draining=()
    )
    if target == current:
        return current.shards(group)
    if target.shards(group) != current.shards(group):
        if prepare is not None:
            await _prepare_or_warn(prepare, group, target.shards(group))
        draining = msgspec.structs.replace(current, draining=(group,))
        deployment = await records.deploy(deployment.version, replace_in(deployment, draining))
        await wait_until_drained(records, [group], clock)
    await records.deploy(deployment.version, replace_in(deployment, target))
    return target.shards(group)


def _checked_group(workflow: DeployedWorkflow, status: int, shards: int | None) -> str:
    """Return the group of the status's step. Raises InvalidInput."""
    group = consumer_group(workflow.name, status)
    if group not in workflow.groups:
        names = [name for name, number in workflow.statuses.items() if number == status]
        raise InvalidInput(
            f"{workflow.name}.{names[0] if names else status}",
            "it has no step; name a status that has one",
        )
    if shards is not None and not (is_count(shards) and shards <= workflow.partitions):
        raise InvalidInput(
            f"shards={shards!r}",
            f"must be from 1 to {workflow.partitions}, the partitions of {workflow.name!r}",
        )
    return group


def replace_in(deployment: Deployment, changed: DeployedWorkflow) -> list[DeployedWorkflow]:
    """Return the workflows of the deployment, one of them changed."""
    return [
        changed if workflow.name == changed.name else workflow for workflow in deployment.workflows
    ]


async def _prepare_or_warn(prepare: Prepare, group: str, shards: int) -> None:
    try:
        await prepare(group, shards)
    except WorkflowError as error:
        log.warning("the %d new shards of %s start only after the change: %s", shards, group, error)


async def wait_until_drained(records: RecordStore, groups: Collection[str], clock: Clock) -> None:
    """Wait until no role of the groups has work in hand, for up to DRAIN seconds."""
    deadline = clock.monotonic() + DRAIN
    while await _is_any_in_use(records, groups) and clock.monotonic() < deadline:
        await clock.wait(asyncio.Event(), LOOK)


async def _is_any_in_use(records: RecordStore, groups: Collection[str]) -> bool:
    for group in groups:
        if any(position.in_use is not None for position in await records.positions(group)):
            return True
    return False
