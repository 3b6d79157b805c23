"""Reads the runs of one workflow."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

from msgspec.structs import replace
from pydantic import BaseModel

from workflow_ray.client.connection import Connection
from workflow_ray.client.dead_letters import DATA, HOOKS, DeadLetters, chosen
from workflow_ray.client.family import list_runs
from workflow_ray.client.run_queries import run_query
from workflow_ray.client.run_reader import RunReader
from workflow_ray.coding import sweep
from workflow_ray.definition import Run, Status
from workflow_ray.definition.arguments import (
    checked_count,
    checked_flag,
    checked_text,
)
from workflow_ray.engine.runs import view_of
from workflow_ray.errors import RunNotFound
from workflow_ray.records import RunId, RunState, connector_group, data_group, hooks_group

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class RunList(Generic[D, S]):
    """Reads, lists and counts the runs of one workflow."""

    def __init__(self, connection: Connection[D, S]) -> None:
        self._connection = connection
        self._workflow = connection.workflow
        self._records = connection.records

    async def get(self, run_id: str) -> Run[D, S]:
        """Return the run as it stands now. Raises RunNotFound."""
        return await RunReader(self._connection, RunId(checked_text("run_id", run_id))).get()

    async def latest(self, foreign_id: str) -> Run[D, S]:
        """Return the newest run of a foreign id, finished or not. Raises RunNotFound."""
        checked_text("foreign_id", foreign_id)
        (record,) = await self._records.latest(self._workflow.name, [foreign_id])
        if record is None:
            raise RunNotFound(self._workflow.name, foreign_id)
        return view_of(self._workflow, record)

    async def sweep_codecs(self) -> int:
        """Delete what the workflow's codecs keep outside of the store for runs that do not exist,
        or whose data was deleted: keys of runs and objects of claim-checks.

        Processes that died have left it. It may be repeated. What belongs to a run that would be
        younger than a day stays, because its trigger may still be repeated. After an outage of the
        store of a day or more, wait a minute before you call it: roles repeat their commits for as
        long as the store does not answer. Deployments that share a database of keys or a place of
        objects would delete each other's.

        Returns:
            The number of runs that something was kept of.
        """
        return await sweep(self._workflow, self._records, self._connection.clock)

    async def runs(
        self,
        *,
        status: S | Collection[S] | None = None,
        run_state: RunState | Collection[RunState] | None = None,
        failed: bool = False,
        foreign_id: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        updated_before: datetime | None = None,
        parent: "RunReader[Any, Any] | str | None" = None,
        child: "RunReader[Any, Any] | str | None" = None,
        labels: Mapping[str, str] | None = None,
        newest_first: bool = False,
        page_size: int = 500,
    ) -> AsyncIterator[Run[D, S]]:
        """List the runs that pass all given filters, by age. They are read page by page.

        A run that existed when the iteration began is listed exactly once if it passes the filters
        during the whole iteration.

        Args:
            status: One status, or several: any of them.
            run_state: One run state, or several: any of them.
            failed: Only runs that an error has paused.
            foreign_id: The caller's key.
            created_from: The earliest creation time, with a timezone.
            created_before: The end of the creation times, itself excluded, with a timezone.
            updated_before: The end of the times of the last version, itself excluded, with a
                timezone.
            parent: A run, as its handle or its id: only runs that it has started or joined.
            child: A run, as its handle or its id: only runs that have started or joined it.
            labels: Only runs that have all of these labels, with these values. None: not filtered.
            newest_first: Default: the oldest first.
            page_size: The number of runs that are read at once, from 1. Fewer are read if their
                data is large.

        Raises:
            InvalidInput: Raised when the first run is asked for.
        """
        query = run_query(
            self._workflow,
            status=status,
            run_state=run_state,
            failed=failed,
            foreign_id=foreign_id,
            created_from=created_from,
            created_before=created_before,
            updated_before=updated_before,
            parent=parent,
            child=child,
            labels=labels,
        )
        query = replace(
            query,
            newest_first=checked_flag("newest_first", newest_first),
            limit=checked_count("page_size", page_size),
        )
        async for run in list_runs(self._records, self._workflow, query):
            yield run

    def dead_letters(self, *, connector: str | None = None) -> DeadLetters:
        """Return the events of connectors and hooks, and the deletions of data, whose attempts are
        used up.

        Args:
            connector: Only those of this connector. None: of all connectors, of the hooks and of
                deletions.

        Raises:
            InvalidInput: The workflow has no such connector.
        """
        name, graph = self._workflow.name, self._workflow.checked()
        groups = {HOOKS: hooks_group(name)} if graph.hooks else {}
        groups |= {each.name: connector_group(name, each.name) for each in graph.connectors}
        groups[DATA] = data_group(name)
        wanted = None if connector is None else checked_text("connector", connector)
        return DeadLetters(name, chosen(name, groups, wanted), self._connection.writer)

    async def counts(self) -> dict[tuple[S | int, RunState], int]:
        """Count the runs at each status in each run state, in one snapshot.

        Combinations without runs are left out. A status that the code no longer has is listed by
        its number.
        """
        counted = await self._records.counts(self._workflow.name)
        return {
            (self._status_or_number(count.status), count.run_state): count.runs for count in counted
        }

    def _status_or_number(self, number: int) -> S | int:
        try:
            return self._workflow.status_of(number)
        except KeyError:
            return number
