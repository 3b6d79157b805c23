"""Cascades: the children that are cancelled because their parent was."""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial

import msgspec

from workflow_ray.engine.announcements import announcing
from workflow_ray.engine.next_version import CASCADED, Next
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    Record,
    RoleName,
    RunQuery,
    RunState,
    Stored,
    hooks_group,
    new_write_id,
)
from workflow_ray.roles.result import Result
from workflow_ray.roles.results import Results

OPEN = tuple(run_state for run_state in RunState if not run_state.finished)
CANCELLATION = frozenset({RunState.CANCELLED})


class Cascade:
    """Cancels the open children of a cancelled run page by page: those that are linked so, or all.

    A child that has such children itself gets an event that makes its own role cancel them. A role
    that takes over repeats the rest.
    """

    def __init__(
        self, role: RoleName, records: RecordStore, results: Results, clock: Clock
    ) -> None:
        self._role = role
        self._records = records
        self._results = results
        self._clock = clock

    async def run(self, parent: Record, *, of_all: bool) -> None:
        """Cancel the children of the parent, of all workflows that are deployed.

        Args:
            parent: The cancelled run.
            of_all: Whether it cancels all its children, and theirs, however they were started.
        """
        deployment = await persist(self._records.deployment, self._clock, self._role)
        for workflow in deployment.workflows:
            query = RunQuery(
                workflow=workflow.name,
                run_states=OPEN,
                parent=parent.run_id,
                cascading=not of_all,
            )
            # the workflow's definition is not at hand, so its hooks are told, whatever they ask for
            asked = CANCELLATION if hooks_group(workflow.name) in workflow.groups else ()
            while not await self._cancel_all(query, asked):
                pass  # some have moved on meanwhile

    async def _cancel_all(self, query: RunQuery, asked: Collection[RunState]) -> bool:
        """Cancel the runs that the query finds. Returns whether no write was too late."""
        cascade = None if query.cascading else True
        are_done = True
        while page := await self._page(query):
            are_done &= await self._cancel(page, asked, cascade)
            query = msgspec.structs.replace(query, after=page[-1].run_id)
        return are_done

    async def _page(self, query: RunQuery) -> list[Record]:
        return await persist(lambda: self._records.runs(query), self._clock, self._role)

    async def _cancel(
        self, children: Sequence[Record], asked: Collection[RunState], cascade: bool | None
    ) -> bool:
        writes = [
            Next(child, self._role, new_write_id()).cancel(CASCADED, cascade=cascade)
            for child in children
        ]
        announced = map(partial(announcing, asked), children, writes)
        answers = await asyncio.gather(
            *(self._results.commit(Result(write)) for write in announced)
        )
        return all(isinstance(answer, Stored) for answer in answers)
