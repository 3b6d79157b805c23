"""When runs that an error has paused are retried."""

from datetime import timedelta

import pytest

from tests.unit.parcels import record
from workflow_ray import Cause, RunState
from workflow_ray.engine.paused_retries import LONGEST, Streak, due_at, streak
from workflow_ray.records import HistoryEntry, RoleName, Version, new_write_id

ROLE = RoleName("routed-paused-retry-1-of-1")
RUN = record(run_state=RunState.PAUSED, cause=Cause.FAILED)
BY = {"T": Cause.RETRIED, "t": Cause.RETRIED}
CAUSES = {
    "F": Cause.FAILED,
    "A": Cause.RETRY,
    "D": Cause.DOUBT,
    "G": Cause.GIVEN_BACK,
    "T": Cause.RETRIED,  # by the role
    "O": Cause.RETRIED,  # by an operator
    "R": Cause.RESUMED,
    "S": Cause.STAY,
    "P": Cause.REPEAT,
}


def entries(causes: str) -> list[HistoryEntry]:
    return [
        HistoryEntry(
            run_id=RUN.run_id,
            version=Version(at),
            status=RUN.status,
            run_state=RunState.RUNNING,
            cause=CAUSES[cause],
            by=ROLE if cause == "T" else "ann",
            at=RUN.updated_at,
            write_id=new_write_id(),
        )
        for at, cause in enumerate(causes, 3)
    ]


@pytest.mark.parametrize(
    ("causes", "expected"),
    [
        ("", Streak(0, is_whole=False)),
        ("AAF", Streak(0, is_whole=False)),
        ("AAFTAAF", Streak(1, is_whole=False)),
        ("FTDGAFTF", Streak(2, is_whole=False)),
        ("FTFOF", Streak(0, is_whole=True)),
        ("FTFRFTF", Streak(1, is_whole=True)),
        ("FTPFTF", Streak(1, is_whole=True)),
        ("FTSF", Streak(0, is_whole=True)),
    ],
)
def test_retries_are_counted_back_to_what_led_somewhere(causes: str, expected: Streak) -> None:
    assert streak(entries(causes), ROLE) == expected


@pytest.mark.parametrize(
    ("first", "retries", "seconds"),
    [
        (60, 0, 60),
        (60, 1, 120),
        (60, 4, 960),
        (60, 11, LONGEST),
        (0.5, 10**9, LONGEST),
        (3 * LONGEST, 0, 3 * LONGEST),
        (3 * LONGEST, 5, 3 * LONGEST),
    ],
)
def test_the_delay_doubles_up_to_a_day(first: float, retries: int, seconds: float) -> None:
    assert due_at(RUN, first, retries) - RUN.updated_at == timedelta(seconds=seconds)
