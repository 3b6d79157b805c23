"""IPC: the processes of one node call the store in another process over a Unix socket.

The process that owns the store serves it (`IpcServer`). Roles and clients have a `remote_store`
over a `Transport`: `Reconnecting` on the node. From other nodes Ray's actor calls carry the same
bytes, and `answer` performs them.

The methods are derived from the ports once (`methods.METHODS`): a new method of a port needs no
change here. What travels is held by tests/unit/runtime/ipc/golden.
"""

from workflow_ray.runtime.ipc.about import About
from workflow_ray.runtime.ipc.address import announce, find
from workflow_ray.runtime.ipc.bounds import Bounds
from workflow_ray.runtime.ipc.client import IpcTransport
from workflow_ray.runtime.ipc.dispatch import answer
from workflow_ray.runtime.ipc.reconnecting import Reconnecting
from workflow_ray.runtime.ipc.remote import RemoteStore, records_over, remote_store, store_over
from workflow_ray.runtime.ipc.served import Served
from workflow_ray.runtime.ipc.server import IpcServer
from workflow_ray.runtime.ipc.transport import Transport

__all__ = [
    "About",
    "Bounds",
    "IpcServer",
    "IpcTransport",
    "Reconnecting",
    "RemoteStore",
    "Served",
    "Transport",
    "announce",
    "answer",
    "find",
    "records_over",
    "remote_store",
    "store_over",
]
