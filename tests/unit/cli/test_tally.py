"""The numbers of a job's report."""

from datetime import UTC, datetime, timedelta

from workflow_ray.cli.tally import Ends, Timing
from workflow_ray.records import Cause, Record, RunId, RunState, Version

START = datetime(2026, 1, 1, tzinfo=UTC)


def ended(
    *,
    after: float = 1.0,
    took: float = 1.0,
    version: int = 4,
    status: int = 3,
    state: RunState = RunState.COMPLETED,
) -> Record:
    """Make a run that was triggered `after` seconds and took so many more."""
    created = START + timedelta(seconds=after)
    return Record(
        run_id=RunId("r"),
        workflow="orders",
        foreign_id="o",
        status=status,
        run_state=state,
        version=Version(version),
        visit=Version(version),
        cause=Cause.STEP,
        partition=0,
        data=b"{}",
        created_at=created,
        updated_at=created + timedelta(seconds=took),
    )


def timed(*records: Record) -> Timing:
    timing = Timing()
    for record in records:
        timing.add(record)
    return timing


def test_transitions_are_the_versions_after_the_trigger() -> None:
    assert timed(ended(version=4), ended(version=2)).transitions == 4


def test_the_rate_is_taken_from_the_first_trigger_to_the_last_end() -> None:
    assert (
        timed(
            ended(after=0, took=1, version=11), ended(after=3, took=2, version=11)
        ).transitions_per_second
        == 4.0
    )


def test_a_percentile_is_the_time_of_a_run() -> None:
    timing = timed(*(ended(took=milliseconds / 1000) for milliseconds in range(100, 0, -1)))
    assert (timing.percentile_ms(50), timing.percentile_ms(99), timing.percentile_ms(100)) == (
        50.0,
        99.0,
        100.0,
    )


def test_nothing_measured_has_neither_rate_nor_percentiles() -> None:
    assert (timed().transitions_per_second, timed().percentile_ms(50)) == (None, None)


def test_ends_are_counted_by_status_and_run_state() -> None:
    ends = Ends({3: "SHIPPED", 2: "RESERVED"})
    for record in (ended(), ended(), ended(status=2, state=RunState.PAUSED)):
        ends.add(record)
    assert ends.by_status() == {"RESERVED (PAUSED)": 1, "SHIPPED": 2}
    assert (ends.total(), ends.total(RunState.PAUSED)) == (3, 1)
