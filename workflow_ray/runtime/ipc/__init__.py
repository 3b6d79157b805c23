"""IPC: on one node, records and events travel beside Ray, over a Unix socket.

The process that owns a store serves it (`IpcServer`); roles and clients have a `remote_store` over
a `Transport`: `Reconnecting` on the node, an actor call that carries the same bytes from elsewhere
(`answer` is its other side).
"""

from workflow_ray.runtime.ipc.address import announce, find
from workflow_ray.runtime.ipc.bounds import Bounds
from workflow_ray.runtime.ipc.client import IpcTransport
from workflow_ray.runtime.ipc.methods import About, answer
from workflow_ray.runtime.ipc.reconnecting import Reconnecting
from workflow_ray.runtime.ipc.remote import RemoteStore, records_over, remote_store, store_over
from workflow_ray.runtime.ipc.server import IpcServer
from workflow_ray.runtime.ipc.transport import Transport

__all__ = [
    "About",
    "Bounds",
    "IpcServer",
    "IpcTransport",
    "Reconnecting",
    "RemoteStore",
    "Transport",
    "announce",
    "answer",
    "find",
    "records_over",
    "remote_store",
    "store_over",
]
