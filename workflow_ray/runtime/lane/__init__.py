"""The lane: on one node, records and events travel beside Ray, over a Unix socket.

The process that owns a store serves it (`LaneServer`); roles and clients see a `RemoteStore` over a `Transport`: `Reconnecting` on the
node, an actor call that carries the same bytes from elsewhere (`answer` is its other side).
"""

from workflow_ray.runtime.lane.address import announce, find
from workflow_ray.runtime.lane.client import LaneTransport
from workflow_ray.runtime.lane.methods import About, answer
from workflow_ray.runtime.lane.reconnecting import Reconnecting
from workflow_ray.runtime.lane.remote import RemoteMover, RemoteStore, remote_store
from workflow_ray.runtime.lane.server import LaneServer
from workflow_ray.runtime.lane.transport import Transport

__all__ = [
    "About",
    "LaneServer",
    "LaneTransport",
    "Reconnecting",
    "RemoteMover",
    "RemoteStore",
    "Transport",
    "announce",
    "answer",
    "find",
    "remote_store",
]
