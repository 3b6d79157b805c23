"""Connecting this process to a Ray cluster: the one that it is connected to, the one that is named,
or our own on this machine.
"""

import logging
import os

from workflow_ray.errors import RuntimeUnavailable
from workflow_ray.runtime.ray.actors import ray
from workflow_ray.runtime.ray.head import local_head

ADDRESS = "RAY_ADDRESS"


def exists(address: str | None) -> bool:
    """Whether a cluster to connect to exists. If not, `connect` would start one."""
    return (
        bool(ray.is_initialized() or address or os.environ.get(ADDRESS))
        or local_head().is_running()
    )


def connect(address: str | None) -> None:
    """Connect this process, if it is not connected, to `address`, else to RAY_ADDRESS, else to our
    own head, which is started if it does not run. Blocks for some seconds.

    Our own head accepts only processes that have its token.

    Raises:
        RuntimeUnavailable: The cluster can't be reached, or our head did not start.
    """
    if ray.is_initialized():
        return
    address = address or os.environ.get(ADDRESS)
    if not address:
        head = local_head()
        address = head.start()
        os.environ.update(head.environment)
        # Ray read its environment when it was imported. Its public API does not read it again if an
        # address is given; ray.init() calls this for a cluster that it starts itself.
        ray._raylet.Config.initialize("")
    _init(address)


def disconnect() -> None:
    """Disconnect this process. The actors keep running."""
    ray.shutdown()


def stop_unused_cluster() -> bool:
    """End the head that `connect` started on this machine, here or in another process.

    Other clusters are left alone.

    Returns:
        False: No such head runs, or it still has a named actor, of any namespace.

    Raises:
        RuntimeUnavailable: It does not answer, or one of its processes does not end.
    """
    head = local_head()
    if not head.is_running():
        return False
    connect(None)
    context = ray.get_runtime_context()
    if context.gcs_address != head.address() or ray.util.list_named_actors(all_namespaces=True):
        return False
    disconnect()  # first: Ray ends a driver that loses its cluster
    return head.stop()


def _init(address: str) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise RuntimeUnavailable(f"Ray at {address}", str(error).splitlines()[0]) from error
    # log_to_driver=False suppresses what workers print. Ray still prints to stdout that a worker
    # has died, which would spoil the output of commands; no public setting turns that off.
    ray._private.worker._worker_logs_enabled = False
