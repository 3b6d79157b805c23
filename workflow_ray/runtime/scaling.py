"""Changes of a step's shard count while it runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import TypeAlias

import msgspec

from workflow_ray.definition.arguments import is_count
from workflow_ray.errors import DeploymentConflict, InvalidInput, UnknownWorkflow, WorkflowError
from workflow_ray.ports import Clock, RecordStore, SystemClock
from workflow_ray.records import DeployedWorkflow, Deployment, consumer_group

log = logging.getLogger(__name__)

DRAIN = 1.0
"""Seconds that the old shards get to finish and release; then they are fenced off."""
LOOK = 0.05
"""Seconds between two looks whether they have."""

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
    """Set the shard count of the step of a status, whatever the code says; the count that holds
    now.

    The new shards are prepared first, where that is possible. Then the current shards finish what
    they have in hand, for DRAIN seconds. The change fences off all of them at once, dead or alive.
    Where it is cut off before that, they begin again within seconds. Safe to repeat.

    Args:
        status: The stored number.
        shards: From 1 to the workflow's partitions. None: what the code says holds again.
        clock: Default: the machine's.
        prepare: Called with the group and its new count, if that is another one. The count changes
            even if this fails: it takes longer then until the new shards work.

    Raises:
        UnknownWorkflow: It isn't deployed there.
        InvalidInput: The status has no step, or can't have that many shards; nothing was written.
    """
    while True:
        try:
            return await _scaled(records, workflow, status, shards, clock or SystemClock(), prepare)
        except DeploymentConflict:
            continue


async def _scaled(
    records: RecordStore,
    name: str,
    status: int,
    shards: int | None,
    clock: Clock,
    prepare: Prepare | None,
) -> int:
    deployment = await records.deployment()
    current = deployed_as(deployment, name)
    group = _checked(current, status, shards)
    others = {other: count for other, count in current.scaled.items() if other != group}
    target = msgspec.structs.replace(
        current, scaled=others if shards is None else {**others, group: shards}, draining=()
    )
    if target == current:
        return current.shards(group)
    if target.shards(group) != current.shards(group):
        if prepare is not None:
            await _prepared(prepare, group, target.shards(group))
        draining = msgspec.structs.replace(current, draining=(group,))
        deployment = await records.deploy(deployment.version, with_changed(deployment, draining))
        await drained(records, [group], clock)
    await records.deploy(deployment.version, with_changed(deployment, target))
    return target.shards(group)


def deployed_as(deployment: Deployment, name: str) -> DeployedWorkflow:
    """The workflow of that name. Raises UnknownWorkflow."""
    for workflow in deployment.workflows:
        if workflow.name == name:
            return workflow
    raise UnknownWorkflow(name, sorted(workflow.name for workflow in deployment.workflows))


def _checked(workflow: DeployedWorkflow, status: int, shards: int | None) -> str:
    """The group of the step. Raises InvalidInput."""
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


def with_changed(deployment: Deployment, changed: DeployedWorkflow) -> list[DeployedWorkflow]:
    """The workflows of the deployment, one of them changed."""
    return [
        changed if workflow.name == changed.name else workflow for workflow in deployment.workflows
    ]


async def _prepared(prepare: Prepare, group: str, shards: int) -> None:
    try:
        await prepare(group, shards)
    except WorkflowError as error:
        log.warning("the %d new shards of %s start only after the change: %s", shards, group, error)


async def drained(records: RecordStore, groups: Collection[str], clock: Clock) -> None:
    """Wait until no role of the groups has anything in hand, DRAIN seconds at most."""
    deadline = clock.monotonic() + DRAIN
    while await _is_any_in_use(records, groups) and clock.monotonic() < deadline:
        await clock.wait(asyncio.Event(), LOOK)


async def _is_any_in_use(records: RecordStore, groups: Collection[str]) -> bool:
    for group in groups:
        if any(position.in_use is not None for position in await records.positions(group)):
            return True
    return False
