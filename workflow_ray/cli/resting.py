"""Runs of a job that rest: they wait for something that the job does not bring about."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple, TypeAlias, cast

from workflow_ray.definition import Status, Workflow
from workflow_ray.engine.awaited import awaited, awaited_when_delayed
from workflow_ray.engine.delays import due_steps
from workflow_ray.records import Awaits, Record, RunId, Version

QUIET = 5.0
"""Seconds without a change after which the job says what its runs wait for."""
LOOKED_AT = 500
"""The most runs of which the job looks up whether their steps are delayed."""

DueTimes: TypeAlias = Callable[[Mapping[RunId, Version]], Awaitable[Mapping[RunId, datetime]]]
"""Reads when steps are due. Those that are not delayed are left out."""


class _Step(NamedTuple):
    """The step of a run that goes on by itself."""

    status: int
    asked_at: Version


class Resting:
    """Notes runs that rest, and says what they wait for when nothing has changed for a while.

    Args:
        workflow: The workflow of the runs.
        say: Is called with each line.
        due_times: Finds the runs whose steps are delayed.
        now: The time of the job, in seconds.
    """

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        say: Callable[[str], None],
        due_times: DueTimes,
        now: float,
    ) -> None:
        self._graph = workflow.checked()
        self._statuses = {each.value: each for each in cast(type[Status], workflow.statuses)}
        self._say = say
        self._due_times = due_times
        self._changed_at = now
        self._is_told = False  # nothing has changed since
        self._resting: dict[RunId, Record] = {}
        self._steps: dict[RunId, _Step] = {}
        # how many runs were last said to rest, by status, and whether a step is due later
        self._said: Mapping[tuple[int, bool], int] = {}

    def note(self, record: Record, now: float) -> None:
        """Take note of a run's new version."""
        self._changed_at = now
        self._is_told = False
        self._resting.pop(record.run_id, None)
        self._steps.pop(record.run_id, None)
        if record.awaits in (Awaits.MESSAGE, Awaits.PARKED):
            self._resting[record.run_id] = record
        elif steps := due_steps([record]):
            self._steps[record.run_id] = _Step(record.status, steps[record.run_id])

    async def tell(self, now: float) -> None:
        """Say what runs wait for, if nothing has changed for a while and it was not said yet."""
        if self._is_told or now - self._changed_at < QUIET:
            return
        self._is_told = True
        due = await self._delayed()
        counts = Counter((record.status, False) for record in self._resting.values())
        counts.update((self._steps[run_id].status, True) for run_id in due)
        if counts == self._said:
            return
        self._said = counts
        for record in {record.status: record for record in self._resting.values()}.values():
            text = awaited(self._graph, self._statuses.get(record.status), record)
            self._tell_of(record.status, counts[record.status, False], text)
        first: dict[int, datetime] = {}
        for run_id, due_at in sorted(due.items(), key=lambda each: each[1]):
            first.setdefault(self._steps[run_id].status, due_at)
        for status, due_at in first.items():
            runs = counts[status, True]
            self._tell_of(status, runs, awaited_when_delayed(due_at, runs))

    async def _delayed(self) -> Mapping[RunId, datetime]:
        asked = {run_id: step.asked_at for run_id, step in islice(self._steps.items(), LOOKED_AT)}
        return await self._due_times(asked) if asked else {}

    def _tell_of(self, number: int, runs: int, text: str) -> None:
        status = self._statuses.get(number)
        where = str(number) if status is None else status.name
        who = "1 run rests" if runs == 1 else f"{runs:,} runs rest"
        self._say(f"{who} at {where}, waiting for {text}. This command waits for their ends.")
