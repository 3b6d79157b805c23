"""How many runs held a slot of a status at a time, by their histories."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate

from workflow_ray.records import Cause, HistoryEntry


def most_at_once(histories: Iterable[Sequence[HistoryEntry]], status: int) -> int:
    """The most runs that held a slot of the status at the same time."""
    changes = sorted(change for history in histories for change in _changes(history, status))
    return max(accumulate(change for _, change in changes), default=0)


def most_in(histories: Iterable[Sequence[HistoryEntry]], status: int, period: timedelta) -> int:
    """The most runs that were admitted to the status in any such period."""
    times = sorted(
        entry.at
        for history in histories
        for entry in history
        if entry.cause is Cause.ADMITTED and entry.status == status
    )
    return max((sum(start <= at < start + period for at in times) for start in times), default=0)


def _changes(history: Sequence[HistoryEntry], status: int) -> list[tuple[datetime, int]]:
    """When a run got a slot (1), and when it gave it back (-1)."""
    found: list[tuple[datetime, int]] = []
    has_slot = False
    for entry in history:
        is_out = entry.status != status or entry.run_state.at_rest
        if entry.cause is Cause.ADMITTED and not is_out and not has_slot:
            found.append((entry.at, 1))
            has_slot = True
        elif is_out and has_slot:
            found.append((entry.at, -1))
            has_slot = False
    return found
