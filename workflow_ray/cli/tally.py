"""Counts runs as they end, and measures how long they took."""

from array import array
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from math import ceil

from workflow_ray.engine.prospects import is_paused_by_error
from workflow_ray.records import Record, RunId, RunState


class Timing:
    """Measures the runs that a job started, by the times in the records."""

    def __init__(self) -> None:
        self.transitions = 0
        self._seconds = array("d")  # from trigger to end, one for each run
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add(self, record: Record) -> None:
        self.transitions += record.version - 1  # version 1 is the trigger
        self._seconds.append((record.updated_at - record.created_at).total_seconds())
        self._first = min(self._first or record.created_at, record.created_at)
        self._last = max(self._last or record.updated_at, record.updated_at)

    @property
    def seconds(self) -> float:
        """Seconds from the first trigger to the last end."""
        return (self._last - self._first).total_seconds() if self._first and self._last else 0.0

    @property
    def transitions_per_second(self) -> float | None:
        """Transitions per second; None: nothing was measured."""
        return round(self.transitions / self.seconds, 1) if self.seconds else None

    def percentile_ms(self, percent: int) -> float | None:
        """Return the milliseconds within which this percentage of the runs ended.

        None: nothing was measured.
        """
        if not self._seconds:
            return None
        ranked = sorted(self._seconds)
        return round(1000 * ranked[ceil(len(ranked) * percent / 100) - 1], 2)


class Ends:
    """Counts runs by the status and run state in which they ended."""

    def __init__(self, statuses: Mapping[int, str]) -> None:
        self._statuses = statuses
        self._counts: Counter[tuple[int, RunState]] = Counter()
        self.failed = 0
        """Runs that an error has paused."""
        self.example: RunId | None = None
        """One of the runs: one that failed, if there is one."""

    def add(self, record: Record) -> None:
        self._counts[record.status, record.run_state] += 1
        if self.example is None or (is_paused_by_error(record) and not self.failed):
            self.example = record.run_id
        self.failed += is_paused_by_error(record)

    def total(self, run_state: RunState | None = None) -> int:
        return sum(
            count for (_, state), count in self._counts.items() if run_state in (None, state)
        )

    def by_status(self) -> dict[str, int]:
        """Return the counts by label, in the order of the statuses' numbers.

        A label is `SHIPPED` or, for runs that did not complete, `RESERVED (PAUSED)`.
        """
        return {
            self._label(status, state): count
            for (status, state), count in sorted(self._counts.items())
        }

    def _label(self, status: int, state: RunState) -> str:
        name = self._statuses.get(status, str(status))
        return name if state is RunState.COMPLETED else f"{name} ({state.name})"
