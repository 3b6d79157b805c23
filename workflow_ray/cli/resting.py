"""Runs of a job that rest: they wait for something that the job does not bring about."""

from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from workflow_ray.definition import Status, Workflow
from workflow_ray.engine.awaited import awaited
from workflow_ray.records import Awaits, Record, RunId

QUIET = 5.0
"""Seconds without a change after which the job says what its runs wait for."""


class Resting:
    """Notes runs that rest, and says what they wait for when nothing has changed for a while.

    Args:
        workflow: The workflow of the runs.
        say: Is called with each line.
        now: The time of the job, in seconds.
    """

    def __init__(
        self, workflow: Workflow[Any, Any], say: Callable[[str], None], now: float
    ) -> None:
        self._graph = workflow.checked()
        self._statuses = {each.value: each for each in cast(type[Status], workflow.statuses)}
        self._say = say
        self._changed_at = now
        self._resting: dict[RunId, Record] = {}
        self._said: dict[int, int] = {}  # status -> how many runs were last said to rest there

    def note(self, record: Record, now: float) -> None:
        """Take note of a run's new version."""
        self._changed_at = now
        self._resting.pop(record.run_id, None)
        if record.awaits in (Awaits.MESSAGE, Awaits.PARKED):
            self._resting[record.run_id] = record

    def tell(self, now: float) -> None:
        """Say what runs wait for, if nothing has changed for a while and it was not said yet."""
        if now - self._changed_at < QUIET:
            return
        counts = Counter(record.status for record in self._resting.values())
        if counts == self._said:
            return
        self._said = dict(counts)
        for record in {record.status: record for record in self._resting.values()}.values():
            self._say(self._line(record, counts[record.status]))

    def _line(self, record: Record, runs: int) -> str:
        status = self._statuses.get(record.status)
        text = awaited(self._graph, status, record)
        where = str(record.status) if status is None else status.name
        who = "1 run rests" if runs == 1 else f"{runs:,} runs rest"
        return f"{who} at {where}, waiting for {text}. This command waits for their ends."
