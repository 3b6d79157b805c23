"""What retention removes."""

from workflow_ray.records import Record, Removal, RunId, RunState
from workflow_ray_adapters.memory.families import Families
from workflow_ray_adapters.memory.inboxes import Inboxes
from workflow_ray_adapters.memory.once_results import OnceResults
from workflow_ray_adapters.memory.runs import Runs
from workflow_ray_adapters.memory.timeouts import Timeouts

MAX_KEYS = 500
"""The most idempotency keys that one removal takes, and the most messages."""


class Removals:
    """Removes finished runs, and later what is kept of them."""

    def __init__(
        self,
        runs: Runs,
        inboxes: Inboxes,
        families: Families,
        results: OnceResults,
        timeouts: Timeouts,
    ) -> None:
        self._runs = runs
        self._inboxes = inboxes
        self._families = families
        self._results = results
        self._timeouts = timeouts
        # the runs that were removed and of which something is kept, with their idempotency keys, by
        # workflow
        self._gone: dict[str, dict[RunId, str | None]] = {}

    def carry_out(self, removal: Removal) -> int:
        """Remove what is asked for, and return how many runs, histories and keys that was."""
        workflow, removed = removal.workflow, 0
        for run_id in removal.runs:
            record = self._finished(workflow, run_id)
            if record and record.run_state is not RunState.REQUESTED_DATA_DELETED:
                self._remove(record)
                removed += 1
        for run_id in removal.histories:
            if self._finished(workflow, run_id):
                removed += self._runs.histories.trim(run_id)
        if removal.keys_below is not None:
            removed += self._forget(workflow, removal.keys_below)
        return removed

    def _finished(self, workflow: str, run_id: RunId) -> Record | None:
        record = self._runs.get(run_id)
        if record is None or record.workflow != workflow or not record.run_state.finished:
            return None
        return record

    def _remove(self, record: Record) -> None:
        gone = self._gone.setdefault(record.workflow, {})
        gone[record.run_id] = record.idempotency_key
        self._runs.remove(record)
        self._inboxes.erase(record.run_id)
        self._families.remove(record.run_id)
        self._results.remove(record.run_id)
        self._timeouts.remove(record.run_id)

    def _forget(self, workflow: str, below: RunId) -> int:
        """Remove idempotency keys and messages of removed runs, and return how many that was."""
        gone = self._gone.get(workflow, {})
        old = [run_id for run_id in gone if run_id < below and self._runs.get(run_id) is None]
        keys = [(run_id, key) for run_id in old if (key := gone[run_id]) is not None][:MAX_KEYS]
        for run_id, key in keys:
            self._runs.forget_key(workflow, key)
            gone[run_id] = None
        messages = self._inboxes.forget(old, MAX_KEYS)
        for run_id in old:
            if gone[run_id] is None and not self._inboxes.has_some(run_id):
                del gone[run_id]
        return len(keys) + messages
