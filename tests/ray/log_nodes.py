"""Reads the logs of a cluster of two nodes: `python -m tests.ray.log_nodes FOLDER`.

The nodes are raylets of this machine, so they share the folder. The second one is killed then.
"""

import asyncio
import sys
from typing import Any

from ray import cluster_utils

from tests.ray.nodes import NODE
from workflow_ray.runtime.ray import cluster
from workflow_ray.runtime.ray.log_files import log_file
from workflow_ray.runtime.ray.log_reader import Entry
from workflow_ray.runtime.ray.node_logs import NodeLogs, logs_of_cluster, readers_of_cluster

SOON = 60.0
LINE = "2026-11-26 09:00:00,000 INFO one"


async def main(folder: str) -> None:
    untyped: Any = cluster_utils
    nodes = untyped.Cluster(
        initialize_head=True, head_node_args={**NODE, "include_dashboard": False}
    )
    other = nodes.add_node(**NODE)
    log_file(folder, "store").write_text(f"{LINE}\n")
    try:
        cluster.connect(nodes.address)
        logs = await logs_of_cluster(folder)
        assert len(logs.readers) == 1, "the nodes share the folder"
        assert [entry.text for entry in await logs.last(["store"], 10)] == [LINE]

        both = NodeLogs(readers_of_cluster(folder))
        assert await both.actors() == ["store"]
        assert (len(both.readers), both.silent) == (2, set())
        found: list[Entry] = []
        nodes.remove_node(other, allow_graceful=False)
        async with asyncio.timeout(SOON):
            while not both.silent:  # its processes may answer a little longer
                found = await both.last(["store"], 10)
        assert [entry.text for entry in found] == [LINE]
        assert (len(both.readers), both.silent) == (1, {other.node_id})
    finally:
        cluster.disconnect()
        nodes.shutdown()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
