"""The client for programs without an event loop: Flask, Django and scripts.

It has the names of the asynchronous client, and each call blocks until it is answered.
"""

from workflow_ray.sync.bulk import BulkJob
from workflow_ray.sync.client import Client
from workflow_ray.sync.connecting import connect
from workflow_ray.sync.dead_letters import DeadLetters
from workflow_ray.sync.handle import Handle

__all__ = [
    "BulkJob",
    "Client",
    "DeadLetters",
    "Handle",
    "connect",
]
