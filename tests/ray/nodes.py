"""A deployment that loses a node, in a process of its own: `python -m tests.ray.nodes RECORDS`.

The cluster has three nodes, which are raylets of this machine. The driver is connected to the
first. The deployment is made as from the second, which is killed then: its actors have to run
elsewhere. Ray places actors that need no CPU, and that no node is required for, at random.
"""

import asyncio
import sys
from contextlib import suppress
from datetime import timedelta
from typing import Any

from ray import cluster_utils

from tests.ray.flows import Parcel, parcels
from workflow_ray import RunState, Runtime
from workflow_ray.errors import RuntimeUnavailable
from workflow_ray.runtime.ray import actors
from workflow_ray.runtime.ray.cluster import disconnect
from workflow_ray.runtime.ray.deployment import RayRuntime

SOON = timedelta(seconds=120)
RUNS = 10
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}


async def main(records: str) -> None:
    untyped: Any = cluster_utils
    cluster = untyped.Cluster(
        initialize_head=True, head_node_args={**NODE, "include_dashboard": False}
    )
    lost, _ = cluster.add_node(**NODE), cluster.add_node(**NODE)
    actors.this_node = lambda: lost.node_id
    try:
        async with Runtime.ray(parcels, records=records, address=cluster.address) as runtime:
            await complete_runs(runtime, "before")
            cluster.remove_node(lost, allow_graceful=False)
            await complete_runs(runtime, "after")
            await until_nothing_runs_on(lost.node_id, runtime)
            await runtime.down()
    finally:
        disconnect()
        cluster.shutdown()


async def complete_runs(runtime: RayRuntime, name: str) -> None:
    client = runtime.client(parcels)
    handles = [await client.trigger(f"{name}-{number}", Parcel()) for number in range(RUNS)]
    for handle in handles:
        run = await handle.wait(timeout=SOON)
        assert run.run_state is RunState.COMPLETED


async def until_nothing_runs_on(node: str, runtime: RayRuntime) -> None:
    """Wait until all actors run elsewhere. The supervisor may be the last to start."""
    async with asyncio.timeout(SOON.total_seconds()):
        while True:
            with suppress(RuntimeUnavailable):
                if all(one.node != node for one in await runtime.status()):
                    return
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
