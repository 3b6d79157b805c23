"""`RunList`, whose calls block. `make sync` writes this from client/run_list.py."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client import run_list as asynchronous
from workflow_ray.definition import Run, Status
from workflow_ray.records import RunState
from workflow_ray.sync.blocking_calls import BlockingCalls, Closing
from workflow_ray.sync.dead_letters import DeadLetters
from workflow_ray.sync.run_reader import RunReader

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class RunList(Closing, Generic[D, S]):
    """Reads, lists and counts the runs of one workflow."""

    def __init__(self, calls: BlockingCalls, original: asynchronous.RunList[D, S]) -> None:
        super().__init__(calls, original)
        self._run_list = original

    def get(self, run_id: str) -> Run[D, S]:
        """Return the run as it stands now. Raises RunNotFound."""
        return self._calls.result(self._run_list.get(run_id))

    def latest(self, foreign_id: str) -> Run[D, S]:
        """Return the newest run of a foreign id, finished or not. Raises RunNotFound."""
        return self._calls.result(self._run_list.latest(foreign_id))

    def sweep_codecs(self) -> int:
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
        return self._calls.result(self._run_list.sweep_codecs())

    def runs(
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
    ) -> Iterator[Run[D, S]]:
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
        return self._calls.iterate(
            self._run_list.runs(
                status=status,
                run_state=run_state,
                failed=failed,
                foreign_id=foreign_id,
                created_from=created_from,
                created_before=created_before,
                updated_before=updated_before,
                parent=self._original_of(parent),
                child=self._original_of(child),
                labels=labels,
                newest_first=newest_first,
                page_size=page_size,
            )
        )

    def dead_letters(self, *, connector: str | None = None) -> DeadLetters:
        """Return the events of connectors and hooks, and the deletions of data, whose attempts are
        used up.

        Args:
            connector: Only those of this connector. None: of all connectors, of the hooks and of
                deletions.

        Raises:
            InvalidInput: The workflow has no such connector.
        """
        return DeadLetters(self._calls, self._run_list.dead_letters(connector=connector))

    def counts(self) -> dict[tuple[S | int, RunState], int]:
        """Count the runs at each status in each run state, in one snapshot.

        Combinations without runs are left out. A status that the code no longer has is listed by
        its number.
        """
        return self._calls.result(self._run_list.counts())
