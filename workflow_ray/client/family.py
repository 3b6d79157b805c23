"""Children and parents of a run."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel

from workflow_ray.client.connection import Connection
from workflow_ray.client.inputs import checked_workflow
from workflow_ray.coding import coded
from workflow_ray.definition import Run, Status, Workflow
from workflow_ray.engine.runs import view_of
from workflow_ray.ports import RecordStore
from workflow_ray.records import RunId, RunQuery

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


async def children(
    connection: Connection[Any, Any], parent: RunId, workflow: Workflow[Any, Any] | None
) -> AsyncIterator[Run[Any, Any]]:
    """List the children of a run. None: those of every workflow that its definition names."""
    functions = connection.workflow.checked().functions_for_children
    named = {each.child.name: each.child for each in functions}
    chosen = list(named.values()) if workflow is None else [checked_workflow(workflow)]
    for each in chosen:
        query = RunQuery(workflow=each.name, parent=parent)
        async for run in list_runs(_records(connection, each), each, query):
            yield run


async def parents(
    connection: Connection[Any, Any], child: RunId, workflow: Workflow[D, S]
) -> AsyncIterator[Run[D, S]]:
    """List the parents of a run that are runs of the workflow."""
    query = RunQuery(workflow=checked_workflow(workflow).name, child=child)
    async for run in list_runs(_records(connection, workflow), workflow, query):
        yield run


def _records(connection: Connection[Any, Any], workflow: Workflow[Any, Any]) -> RecordStore:
    """Return the store as the workflow reads it. The connection's own is decoded already."""
    if workflow.name == connection.workflow.name:
        return connection.records
    return coded(connection.records, workflow)


async def list_runs(
    records: RecordStore, workflow: Workflow[D, S], query: RunQuery
) -> AsyncIterator[Run[D, S]]:
    """List the runs that pass a query, page by page."""
    while page := await records.runs(query):
        for record in page:
            yield view_of(workflow, record)
        query = msgspec.structs.replace(query, after=page[-1].run_id)
