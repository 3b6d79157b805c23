"""When runs that an error has paused are retried. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from workflow_ray.records import Cause, HistoryEntry, Record, RoleName

LONGEST = 86_400.0
"""The seconds up to which the delay doubles."""
FAILURES = (Cause.FAILED, Cause.RETRY, Cause.DOUBT, Cause.GIVEN_BACK, Cause.PARKED, Cause.ADMITTED)
"""The causes of versions of attempts that have led nowhere."""


class Streak(NamedTuple):
    """The retries of a run that an error followed each time."""

    retries: int
    is_whole: bool  # whether entries before the ones counted can't add to it


def streak(entries: Sequence[HistoryEntry], by: RoleName) -> Streak:
    """Count the retries by a role that were made in a row.

    The count begins again where a function returns something, and where somebody else lets the run
    go on.

    Args:
        entries: The last ones of a run's visit, ascending, without the one that entered the status.
        by: The role.
    """
    retries = 0
    for entry in reversed(entries):
        if entry.cause is Cause.RETRIED and entry.by == by:
            retries += 1
        elif entry.cause not in FAILURES:
            return Streak(retries, is_whole=True)
    return Streak(retries, is_whole=False)


def due_at(record: Record, first: float, retries: int) -> datetime:
    """Return when a paused run is retried.

    Args:
        record: The run.
        first: The seconds from the pause to the first retry. They double with each further one, up
            to LONGEST, unless they are longer.
        retries: Those that were made in a row.
    """
    doubled = first * 2.0 ** min(retries, 64)  # a float can't hold 2 ** 1024
    return record.updated_at + timedelta(seconds=min(doubled, max(first, LONGEST)))
