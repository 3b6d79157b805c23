"""A deployment that loses a node, in a process of its own: `python -m tests.ray.nodes RECORDS FOLDER`.

The cluster has three nodes, which are raylets of this machine. The driver is connected to the first.
The deployment is made as from the second, which is killed then: its actors have to run elsewhere.
"""

import asyncio
import sys
from datetime import timedelta
from typing import Any

from ray import cluster_utils

from tests.ray.flows import Parcel, parcels
from workflow_ray import RunState, Runtime
from workflow_ray.runtime.ray import actors
from workflow_ray.runtime.ray.actors import STORE
from workflow_ray.runtime.ray.cluster import disconnect
from workflow_ray.runtime.ray.deployment import RayRuntime

SOON = timedelta(seconds=120)
RUNS = 10
NODE = {"num_cpus": 1, "object_store_memory": 100_000_000}


async def main(records: str, folder: str) -> None:
    untyped: Any = cluster_utils
    cluster = untyped.Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False, "temp_dir": folder})
    lost, _ = cluster.add_node(**NODE), cluster.add_node(**NODE)
    actors.this_node = lambda: lost.node_id
    try:
        async with Runtime.ray(parcels, records=records, address=cluster.address) as runtime:
            await complete_runs(runtime, "before")
            assert (await nodes_of(runtime))[STORE] == lost.node_id
            cluster.remove_node(lost, allow_graceful=False)
            await complete_runs(runtime, "after")
            assert lost.node_id not in (await nodes_of(runtime)).values()
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


async def nodes_of(runtime: RayRuntime) -> dict[str, str | None]:
    """Where each actor of the deployment runs; None: nowhere yet."""
    return {one.name: one.node for one in await runtime.status()}


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
