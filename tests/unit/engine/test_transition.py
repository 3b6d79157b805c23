"""How the outcome of a step changes a record."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import product

import msgspec
import pytest

from tests.unit.parcels import Route, record, routed
from workflow_ray import Cancel, Pause, Repeat, Stay
from workflow_ray.definition import Halt
from workflow_ray.engine.next_version import MAX_REASON
from workflow_ray.engine.run_states import may_move
from workflow_ray.engine.transition import (
    Failed,
    HeldBack,
    Outcome,
    Returned,
    count_attempt,
    decide,
    give_back,
    is_counted,
)
from workflow_ray.records import (
    Awaits,
    Cause,
    Record,
    RunState,
    Version,
    Write,
    WriteId,
    status_topic,
)

ID = WriteId("w")
VALUES: tuple[Route | Halt, ...] = (
    Route.SENT,
    Route.PACKED,
    Cancel("c"),
    Pause("p"),
    Stay(),
    Repeat(),
    Repeat(timedelta(minutes=1)),
)
OUTCOMES: list[Outcome] = [
    *(Returned(value, data) for value, data in product(VALUES, (None, b"{}"))),
    *(Failed("broken", fatal=fatal) for fatal in (False, True)),
    HeldBack("newer", 2.5),
]


def decided(
    before: Record, outcome: Outcome, *, attempts: int = 3, on_failure: Route | None = None
) -> Write:
    workflow = routed(attempts=attempts, on_failure=on_failure)
    step = workflow.checked().step(Route(before.status))
    assert step
    return decide(before, outcome, step, workflow, by="role", write_id=ID)


def doubted(before: Record, *, attempts: int = 3, on_failure: Route | None = None) -> Write:
    workflow = routed(attempts=attempts, on_failure=on_failure)
    step = workflow.checked().step(Route.PACKED)
    assert step
    return count_attempt(before, step, workflow, by="role", write_id=ID)


def all_decisions() -> Iterator[tuple[Record, Write]]:
    """All decisions: each outcome and a crash, in every run state and attempt."""
    for run_state, attempt, on_failure in product(
        (RunState.INITIATED, RunState.RUNNING), range(4), (None, Route.LOST)
    ):
        before = record(run_state=run_state, attempt=attempt)
        for outcome in OUTCOMES:
            yield before, decided(before, outcome, on_failure=on_failure)
        yield before, doubted(before, on_failure=on_failure)


def returned(value: Route | Halt, data: bytes | None = None) -> Returned:
    return Returned(value, data)


# --- rules for every decision -------------------------------------------------------------------


def test_every_write_builds_on_its_record_and_names_its_author() -> None:
    for before, write in all_decisions():
        assert (write.run_id, write.expected, write.version) == (
            before.run_id,
            before.version,
            before.version + 1,
        )
        assert (write.by, write.write_id, write.new) == ("role", ID, None)


def test_a_write_has_one_event_at_its_status_if_the_run_can_go_on_and_else_none() -> None:
    for before, write in all_decisions():
        goes_on = not write.run_state.at_rest and write.cause is not Cause.STAY
        assert len(write.events) == (1 if goes_on else 0), write
        for event in write.events:
            assert (event.topic, event.partition) == (
                status_topic("routed", write.status),
                before.partition,
            )


def test_every_decision_is_a_move_that_the_table_allows() -> None:
    for before, write in all_decisions():
        assert may_move(before.run_state, write.run_state), write


def test_a_write_stays_in_its_visit_unless_it_enters_a_status() -> None:
    for before, write in all_decisions():
        entered = write.cause is Cause.STEP or write.status != before.status
        assert write.visit == (write.version if entered else before.visit), write


def test_a_run_that_was_triggered_is_running_after_its_first_step() -> None:
    write = decided(
        record(status=Route.NEW.value, run_state=RunState.INITIATED), returned(Route.PACKED)
    )
    assert (write.run_state, write.status) == (RunState.RUNNING, Route.PACKED.value)


def test_data_is_written_with_the_version_of_the_code() -> None:
    for data_version in (1, 7):
        workflow = routed()
        step = workflow.checked().step(Route.PACKED)
        workflow.data_version = data_version
        assert step
        for value in VALUES:
            before = record(data_version=data_version - 1)
            write = decide(before, Returned(value, b"{}"), step, workflow, by="role", write_id=ID)
            assert (write.data_version, write.onto(before).data_version) == (data_version,) * 2


def test_data_that_is_not_written_keeps_its_version() -> None:
    for before, write in all_decisions():
        after = write.onto(msgspec.structs.replace(before, data_version=5))
        assert after.data_version == (5 if write.data is None else 1)


def test_a_run_that_is_held_back_counts_no_attempt_and_is_tried_again_later() -> None:
    write = decided(record(attempt=2), HeldBack("newer", 2.5))
    assert (write.cause, write.attempt, write.reason) == (Cause.PARKED, 2, "newer")
    assert (write.awaits, write.asks, write.data) == (Awaits.EVENT, True, None)
    assert [event.delay for event in write.events] == [2.5]


# --- what a step returns ------------------------------------------------------------------------


def test_a_status_with_a_step_is_entered_with_an_event_at_once() -> None:
    write = decided(record(status=Route.NEW.value, attempt=2), returned(Route.PACKED, b"{}"))
    assert (write.status, write.run_state, write.cause) == (
        Route.PACKED.value,
        RunState.RUNNING,
        Cause.STEP,
    )
    assert (write.attempt, write.reason, write.data) == (0, None, b"{}")
    assert [event.delay for event in write.events] == [0.0]


def test_a_status_without_a_step_completes_the_run() -> None:
    write = decided(record(), returned(Route.SENT))
    assert (write.status, write.run_state, write.cause) == (
        Route.SENT.value,
        RunState.COMPLETED,
        Cause.STEP,
    )
    assert write.events == ()


def test_returning_the_own_status_is_a_new_visit() -> None:
    before = record(version=Version(6), visit=Version(2), attempt=1)
    write = decided(before, returned(Route.PACKED))
    assert (write.visit, write.attempt, write.cause) == (7, 0, Cause.STEP)


def test_a_repeat_comes_after_its_delay_and_is_not_a_failed_attempt() -> None:
    write = decided(record(attempt=2), returned(Repeat(timedelta(minutes=1)), b"{}"))
    assert (write.cause, write.run_state, write.attempt, write.data) == (
        Cause.REPEAT,
        RunState.RUNNING,
        0,
        b"{}",
    )
    assert [event.delay for event in write.events] == [60.0]


def test_a_stay_leaves_the_run_running_without_an_event() -> None:
    write = decided(record(), returned(Stay(), b"{}"))
    assert (write.cause, write.run_state, write.data, write.events) == (
        Cause.STAY,
        RunState.RUNNING,
        b"{}",
        (),
    )


def test_a_pause_keeps_the_run_at_its_status() -> None:
    write = decided(record(), returned(Pause("look at this"), b"{}"))
    assert (write.cause, write.run_state, write.reason, write.data) == (
        Cause.PAUSE,
        RunState.PAUSED,
        "look at this",
        b"{}",
    )
    assert write.status == Route.PACKED.value


def test_a_cancel_ends_the_run_at_its_status() -> None:
    write = decided(record(), returned(Cancel("empty"), b"{}"))
    assert (write.cause, write.run_state, write.reason, write.data) == (
        Cause.CANCEL,
        RunState.CANCELLED,
        "empty",
        b"{}",
    )
    assert write.status == Route.PACKED.value


# --- failures -----------------------------------------------------------------------------------


def test_a_failure_with_attempts_left_is_counted_and_tried_again_after_its_backoff() -> None:
    before = record(attempt=1)
    write = decided(before, Failed("broken"), attempts=3)
    step = routed().checked().step(Route.PACKED)
    assert step
    assert (write.cause, write.run_state, write.attempt, write.reason, write.data) == (
        Cause.RETRY,
        RunState.RUNNING,
        2,
        "broken",
        None,
    )
    assert [event.delay for event in write.events] == [step.retry.delay(before.run_id, 2)]


@pytest.mark.parametrize(
    ("attempts", "failed_before", "cause"),
    [(1, 0, Cause.FAILED), (3, 1, Cause.RETRY), (3, 2, Cause.FAILED)],
)
def test_attempts_count_the_first_run_of_the_step(
    attempts: int, failed_before: int, cause: Cause
) -> None:
    write = decided(record(attempt=failed_before), Failed("broken"), attempts=attempts)
    assert (write.cause, write.attempt) == (cause, failed_before + 1)


def test_a_run_without_attempts_is_paused_with_the_error() -> None:
    write = decided(record(attempt=2), Failed("broken"))
    assert (write.cause, write.run_state, write.status) == (
        Cause.FAILED,
        RunState.PAUSED,
        Route.PACKED.value,
    )
    assert (write.reason, write.events) == ("broken", ())


def test_a_run_without_attempts_enters_the_on_failure_status_if_there_is_one() -> None:
    write = decided(record(attempt=2), Failed("broken"), on_failure=Route.LOST)
    assert (write.cause, write.run_state, write.status) == (
        Cause.FAILED,
        RunState.COMPLETED,
        Route.LOST.value,
    )
    assert (write.reason, write.attempt, write.data) == ("broken", 0, None)


def test_a_fatal_failure_leaves_no_attempts() -> None:
    assert decided(record(), Failed("bug", fatal=True)).run_state is RunState.PAUSED
    assert (
        decided(record(), Failed("bug", fatal=True), on_failure=Route.LOST).status
        == Route.LOST.value
    )


# --- in-doubt attempts --------------------------------------------------------------------------


def test_an_in_doubt_attempt_is_counted_before_it_runs_and_is_retried_after_a_crash() -> None:
    before = record(attempt=1)
    write = doubted(before)
    assert is_counted(write)
    assert (write.cause, write.run_state, write.attempt, write.visit) == (
        Cause.DOUBT,
        RunState.RUNNING,
        2,
        before.visit,
    )
    assert len(write.events) == 1
    assert write.events[0].delay > 0


def test_a_run_that_crashes_have_left_without_attempts_fails_without_another() -> None:
    write = doubted(record(attempt=3), attempts=3)
    assert not is_counted(write)
    assert (write.cause, write.run_state, write.attempt) == (Cause.FAILED, RunState.PAUSED, 3)
    assert write.reason is not None
    assert "the process died while" in write.reason
    assert doubted(record(attempt=3), attempts=3, on_failure=Route.LOST).status == Route.LOST.value


# --- what a store can hold ----------------------------------------------------------------------


def test_a_reason_is_cut_to_the_length_that_every_store_can_hold() -> None:
    write = decided(record(), Failed("a\0b\ud800" + "c" * MAX_REASON, fatal=True))
    assert write.reason is not None
    assert write.reason.startswith("a\N{REPLACEMENT CHARACTER}b?c")
    assert len(write.reason) == MAX_REASON
    write.reason.encode()


def test_an_attempt_that_is_given_back_is_not_counted_and_is_retried_at_once() -> None:
    before = record(attempt=1)
    counted = doubted(before).onto(before)
    write = give_back(counted, by="role", write_id=ID)
    assert (write.cause, write.attempt, write.expected) == (Cause.GIVEN_BACK, 1, counted.version)
    assert [event.delay for event in write.events] == [0.0]
    assert write.onto(counted).awaited == write.version
