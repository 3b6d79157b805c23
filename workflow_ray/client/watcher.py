"""Waits for runs to change. All waits of a client share their calls to the store."""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TypeAlias

from workflow_ray.client.shared_calls import SharedCalls
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import Record, RunId, Version

_Seen: TypeAlias = tuple[RunId, Version]


class Watcher:
    """Wakes waits when their runs change.

    It needs no closing, and waits of different event loops share nothing.

    Args:
        records: A store that repeats its calls while the given one does not answer.
        clock: Measures the waits.
        quiet: Called when waits have brought no change for a while.
    """

    def __init__(
        self, records: RecordStore, clock: Clock, quiet: Callable[[], Awaitable[None]]
    ) -> None:
        self._records = records
        # by whether the calls are for runs at rest only
        self._calls = {
            at_rest: SharedCalls[_Seen, Record](partial(self._ask, at_rest), clock, quiet)
            for at_rest in (False, True)
        }

    async def newer(
        self, run_id: RunId, seen: Version, *, wait: float | None, at_rest: bool = False
    ) -> Record | None:
        """Wait until the run's version is above the one seen.

        Args:
            run_id: The run.
            seen: The version that the caller knows.
            wait: Seconds. None: no limit.
            at_rest: Wait until the run also takes no further step by itself.

        Returns:
            The run's record. None: the time is over.

        Raises:
            WorkflowError: What the store's `watch` raises.
        """
        return await self._calls[at_rest].wait((run_id, seen), wait)

    async def _ask(
        self, at_rest: bool, wanted: Collection[_Seen], wait: float
    ) -> dict[_Seen, Record]:
        seen: dict[RunId, Version] = {}
        for run_id, version in wanted:
            seen[run_id] = min(version, seen.get(run_id, version))
        changed = await self._records.watch(seen, wait=wait, at_rest=at_rest)
        records = {record.run_id: record for record in changed}
        return {
            (run_id, version): records[run_id]
            for run_id, version in wanted
            if run_id in records and records[run_id].version > version
        }
