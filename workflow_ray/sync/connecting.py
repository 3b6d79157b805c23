"""Clients that block, for programs without an event loop."""

from typing import TypeVar

from pydantic import BaseModel

from workflow_ray.client.patience import PATIENCE
from workflow_ray.definition import Status, Workflow
from workflow_ray.definition.durations import Duration
from workflow_ray.runtime import connect as connect_asynchronously
from workflow_ray.runtime.urls import Place
from workflow_ray.sync.blocking_calls import BlockingCalls
from workflow_ray.sync.client import Client

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


def connect(
    workflow: Workflow[D, S], *, records: Place | None = None, patience: Duration = PATIENCE
) -> Client[D, S]:
    """Connect a client to a deployed workflow, for a web service or a script without an event loop.

    The connection has one thread with an event loop. Any number of threads may share the client:
    what they write at the same time is committed together. `with connect(...) as client:` closes
    the connection; so does `client.close()`. A client that is kept for as long as the process lives
    need not be closed. In a process that was forked after the client was connected, its calls raise
    RuntimeUnavailable: connect again there.

    Args:
        workflow: The definition. It must be deployed there.
        records: URL of the store, or the path of a SQLite file. Default: WORKFLOW_RAY_RECORDS, else
            sqlite:///workflow.db.
        patience: Seconds, or a timedelta, for which calls repeat themselves while the store does
            not answer. After that they raise StoreUnavailable. With codecs: 12 hours at most.

    Returns:
        The client. It is connected.

    Raises:
        InvalidDefinition: The definition has mistakes.
        UnknownWorkflow: It is not deployed there.
        StatusRenumbered: It has another number for a status.
        InvalidInput: An argument can't be used.
        RuntimeUnavailable: The calling thread runs an event loop, which the client would block.
        StoreError: StoreMissing, AccessDenied, StoreUnavailable and the like.
    """
    calls = BlockingCalls()
    return Client(
        calls, calls.open(connect_asynchronously(workflow, records=records, patience=patience))
    )
