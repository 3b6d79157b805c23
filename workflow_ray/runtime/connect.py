"""Clients of deployed workflows, which need neither roles nor Ray."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from pydantic import BaseModel

from workflow_ray.client import Client
from workflow_ray.client.attendance import Attendance
from workflow_ray.client.inputs import checked_workflow
from workflow_ray.client.patience import PATIENCE
from workflow_ray.definition import Status, Workflow, known_as, python_path_of
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.errors import StatusRenumbered, StoreUnavailable, UnknownWorkflow
from workflow_ray.ports import Clock, Records, SystemClock, records_adapter, transactions_of
from workflow_ray.records import DeployedWorkflow
from workflow_ray.runtime.bridge import Bridge, bridged_records, connection_closed
from workflow_ray.runtime.identity import is_same
from workflow_ray.runtime.identity import place_of as definition_place
from workflow_ray.runtime.ipc.address import find
from workflow_ray.runtime.ipc.reconnecting import Reconnecting
from workflow_ray.runtime.ipc.remote import remote_process, remote_store
from workflow_ray.runtime.process_status import ProcessStatus
from workflow_ray.runtime.urls import Place, place_of, records_url

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)

STATUS_PATIENCE = 5.0
"""Seconds that a process gets to tell its status."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def connect(
    workflow: Workflow[D, S], *, records: Place | None = None, patience: Duration = PATIENCE
) -> AsyncGenerator[Client[D, S]]:
    """Connect a client to a deployed workflow, for a web service or a script.

    It needs the records only, wherever the events are. The event loops of other threads may use it
    too, while the loop that connected runs. Once the `async with` has ended, calls and waits raise
    RuntimeUnavailable.

    Args:
        workflow: The definition. It must be deployed there.
        records: URL of the store, or the path of a SQLite file. Default: WORKFLOW_RAY_RECORDS, else
            sqlite:///workflow.db.
        patience: Seconds, or a timedelta, for which calls repeat themselves while the store does
            not answer. After that they raise StoreUnavailable. With codecs: 12 hours at most.

    Raises:
        InvalidDefinition: The definition has mistakes.
        UnknownWorkflow: It is not deployed there.
        StatusRenumbered: It has another number for a status.
        InvalidInput: An argument can't be used.
        StoreError: StoreMissing, AccessDenied, StoreUnavailable and the like.
    """
    checked_workflow(workflow).checked()
    seconds = seconds_of("patience", patience)
    clock = SystemClock()
    bridge = Bridge(asyncio.get_running_loop(), connection_closed)
    url = records_url(records)
    async with open_beside(url, clock) as opened:
        await _check_deployed(workflow, opened)
        calls = bridged_records(opened, bridge)
        attendance = Attendance(workflow, calls, place_of(url), partial(_may_run, calls))
        transactions = transactions_of(url, clock=clock, store_id=opened.store_id)
        try:
            yield Client(
                workflow,
                calls,
                clock,
                patience=seconds,
                attendance=attendance,
                transactions=transactions,
            )
        finally:
            bridge.close()


@asynccontextmanager
async def open_beside(url: str, clock: Clock) -> AsyncGenerator[Records]:
    """Open the records beside the processes that run their roles.

    Embedded records are reached through the socket of the process that runs their roles, if one
    does.
    """
    adapter = records_adapter(url)
    where = adapter.canonical(url)
    if adapter.shared or find(where) is None:
        async with adapter.open_records(url, clock=clock, exclusive=False) as records:
            yield records
        return
    transport = Reconnecting(partial(_socket, where))
    try:
        yield await remote_store(transport)
    finally:
        transport.close()


async def process_status(url: str) -> ProcessStatus | None:
    """Ask the local process that runs the roles of an embedded store for its status.

    Returns:
        None: No process runs them, or the store is a server's.

    Raises:
        StoreError: The process does not answer, or runs older code.
    """
    adapter = records_adapter(url)
    where = adapter.canonical(url)
    if adapter.shared or find(where) is None:
        return None
    transport = Reconnecting(partial(_socket, where))
    try:
        return await remote_process(transport, patience=STATUS_PATIENCE)
    finally:
        transport.close()


async def _socket(where: str) -> str:
    path = await asyncio.to_thread(find, where)
    if path is None:
        raise StoreUnavailable(
            where, "the process that served it is gone, and no other serves it yet"
        )
    return path


async def _may_run(records: Records, groups: Sequence[str]) -> bool:
    """Whether a process has the records exclusively, or a live lease of a role of these groups."""
    activity = await records.activity(limit=1)
    held = [holder.role for holder in activity.holders]
    return activity.is_served or any(
        role.startswith(f"{group}-") for role in held for group in groups
    )


async def _check_deployed(workflow: Workflow[D, S], records: Records) -> None:
    deployment = await records.deployment()
    known = {deployed.name: deployed for deployed in deployment.workflows}
    if workflow.name not in known:
        raise UnknownWorkflow(workflow.name, sorted(known))
    _warn_of_another(workflow, known[workflow.name])
    statuses = known[workflow.name].statuses
    for status in workflow.statuses:
        if statuses.get(status.name, status.value) != status.value:
            raise StatusRenumbered(workflow.name, status.name, statuses[status.name], status.value)


def _warn_of_another(workflow: Workflow[D, S], deployed: DeployedWorkflow) -> None:
    """Warn if another definition is deployed under the workflow's name.

    It is not refused, because a program that is only a client may import the module under another
    name.
    """
    reference = known_as(workflow)
    if not is_same(deployed, reference, python_path_of(workflow)):
        log.warning(
            "workflow %r is deployed here from %s, and this client has %s (%s). If these are two"
            " workflows, give one of them another name, or its own records",
            workflow.name,
            definition_place(deployed),
            reference.removesuffix(":"),
            workflow.where,
            extra={"workflow": workflow.name},
        )
