"""A deployment whose step asks for a resource that no node has at first, in a process of its own:
`python -m tests.ray.lens_nodes RECORDS`.

The nodes are raylets of this machine. The one that has the resource is added while the role waits.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from ray import cluster_utils

from tests.ray.flows import Letter, LetterStatus, Photo, PhotoStatus, letters, photos
from tests.ray.nodes import NODE
from workflow_ray import Runtime
from workflow_ray.cli.role_states import held_by_actors
from workflow_ray.errors import RuntimeUnavailable
from workflow_ray.runtime.ray import actors
from workflow_ray.runtime.ray.actor_status import ActorStatus
from workflow_ray.runtime.ray.actors import SUPERVISOR
from workflow_ray.runtime.ray.cluster import disconnect
from workflow_ray.runtime.ray.deployment import RayRuntime
from workflow_ray.runtime.ray.inspection import inspect

SOON = timedelta(seconds=120)
ROLE = "photos-1-consumer-1-of-1"
PLACED = "photos-2-consumer-1-of-1"
"""It asks for half a CPU, which the first node has."""
WAITS = "it waits for a node with resources={'lens': 1}"


async def main(records: str) -> None:
    untyped: Any = cluster_utils
    cluster = untyped.Cluster(
        initialize_head=True, head_node_args={**NODE, "include_dashboard": False}
    )
    try:
        async with Runtime.ray(
            photos, letters, records=records, address=cluster.address
        ) as runtime:
            await until(runtime, lambda role: role.why == WAITS)
            await until(runtime, lambda role: role.is_running, PLACED)
            await others_run(runtime)
            await check_inspection(records)
            handle = await runtime.client(photos).trigger("first", Photo())
            assert (await handle.get()).status is PhotoStatus.TAKEN
            actors.find(SUPERVISOR, actors.namespace_of(records)).kill(restart=True)
            node = cluster.add_node(**NODE, resources={"lens": 1})
            await handle.wait_for(PhotoStatus.SHOWN, timeout=SOON)
            await until(runtime, lambda role: role.node == node.node_id and role.is_running)
            cluster.remove_node(node, allow_graceful=False)
            await until(runtime, lambda role: role.why == WAITS)
            await runtime.down()
    finally:
        disconnect()
        cluster.shutdown()


async def check_inspection(records: str) -> None:
    """Check what `workflow-ray status` finds."""
    found = await inspect(records)
    assert found is not None
    roles = {
        role.name: role for role in held_by_actors(found.actors, found.in_flight, found.breakers)
    }
    assert (roles[ROLE].phase, roles[ROLE].why, roles[ROLE].failures) == ("waiting", WAITS, 0)
    assert roles[PLACED].phase == "running"


async def others_run(runtime: RayRuntime) -> None:
    handle = await runtime.client(letters).trigger("letter", Letter())
    await handle.wait_for(LetterStatus.POSTED, timeout=SOON)


async def until(
    runtime: RayRuntime, condition: Callable[[ActorStatus], bool], name: str = ROLE
) -> None:
    """Wait until a role is as the condition says."""
    async with asyncio.timeout(SOON.total_seconds()):
        while True:
            with suppress(RuntimeUnavailable):
                if any(one.name == name and condition(one) for one in await runtime.status()):
                    return
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
