"""Reads one run and its history."""

from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.client.connection import Connection
from workflow_ray.client.following import follow
from workflow_ray.client.history import Entry, with_failed
from workflow_ray.client.standing import read_entries, read_failed, read_record
from workflow_ray.definition import Run, Status
from workflow_ray.definition.arguments import checked_count
from workflow_ray.engine.past import with_oldest_data
from workflow_ray.engine.runs import view_of
from workflow_ray.records import NO_VERSION, HistoryEntry, Record, RunId, Version

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class RunReader(Generic[D, S]):
    """Reads one run."""

    def __init__(self, connection: Connection[D, S], run_id: RunId) -> None:
        self._connection = connection
        self._workflow = connection.workflow
        self._records = connection.records
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"<Handle {self._workflow.name} {self.run_id}>"

    async def get(self) -> Run[D, S]:
        """Return the run as it stands now. Raises RunNotFound."""
        return view_of(self._workflow, await self._record())

    async def history(self) -> list[Entry[D, S]]:
        """List every version of the run, from the first, and the callbacks that have failed for
        good, by time. Raises RunNotFound.
        """
        record = await self._record()
        entries = with_oldest_data(record, await self._entries(record.version))
        has_callbacks = self._workflow.checked().has_callbacks
        failed = await read_failed(self._records, self.run_id) if has_callbacks else ()
        return list(with_failed(self._workflow, entries, failed))

    def follow(self, *, after: int = 0) -> AsyncIterator[Entry[D, S]]:
        """Yield every version of the run above `after`, in order, as soon as it is written.

        It ends after the version that ends the run. Each version is yielded once. A callback that
        has failed for good is yielded within some seconds. Nothing is held between two versions, so
        a consumer may be slow, or go on later from the last version that it has seen: then the
        callbacks that have failed at that version are yielded again.

        Args:
            after: A version. 0: from the first.

        Raises:
            RunNotFound: The run does not exist. Raised by the first step of the iteration.
            InvalidInput: `after` is not a whole number from 0 up.
        """
        start = checked_count("after", after, least=0)
        return follow(self._connection, self.run_id, Version(start))

    async def _record(self) -> Record:
        return await read_record(self._connection, self.run_id, self._records)

    async def _entries(self, upto: Version, *, after: Version = NO_VERSION) -> list[HistoryEntry]:
        return await read_entries(self._records, self.run_id, upto, after=after)
