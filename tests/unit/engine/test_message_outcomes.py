"""What the outcome of a message's function makes of its run and of the message."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, Literal

import pytest

from tests.unit.parcels import Parcel, record
from workflow_ray import Cancel, Children, Pause, Retry, Run, Status, Stay, Workflow
from workflow_ray.definition import Halt
from workflow_ray.engine.message_outcomes import (
    MessageChange,
    count_message,
    decide_message,
    give_back_message,
    missing_function,
    was_counted,
)
from workflow_ray.engine.run_states import may_move
from workflow_ray.engine.transition import Failed, HeldBack, Outcome, Returned
from workflow_ray.records import (
    Awaits,
    Cause,
    Message,
    MessageId,
    MessageKey,
    MessageKind,
    Record,
    RunState,
    Version,
    WriteId,
)

ID = WriteId("w")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Site(Status):
    OPEN = 1
    STEPPED = 2
    DONE = 3
    LOST = 4


SiteRun = Run[Parcel, Site]


def sites(*, on_failure: Site | None = None) -> Workflow[Parcel, Site]:
    """OPEN waits for a message of each kind; STEPPED has a step as well."""
    workflow = Workflow("routed", Parcel, Site, entry=tuple(Site))
    retry = Retry(attempts=3, backoff=timedelta(seconds=10))

    @workflow.step(Site.STEPPED)
    async def step(run: SiteRun) -> Literal[Site.DONE]:
        return Site.DONE

    @workflow.callback(Site.OPEN, Site.STEPPED, retry=retry)
    async def called(run: SiteRun, message: int) -> Literal[Site.DONE] | Stay | Pause | Cancel:
        return Site.DONE

    @workflow.timeout(Site.OPEN, after=60, retry=retry, on_failure=on_failure)
    async def late(run: SiteRun) -> Literal[Site.DONE] | Stay | Pause | Cancel:
        return Site.DONE

    @workflow.child(Site.OPEN, workflow, retry=retry, on_failure=on_failure)
    async def one(run: SiteRun, child: SiteRun) -> Literal[Site.DONE] | Stay | Pause | Cancel:
        return Site.DONE

    @workflow.children(Site.OPEN, workflow, retry=retry, on_failure=on_failure)
    async def every(
        run: SiteRun, children: Children[Parcel, Site]
    ) -> Literal[Site.DONE] | Stay | Pause | Cancel:
        return Site.DONE

    return workflow


NAMES = {
    MessageKind.CALLBACK: "called",
    MessageKind.TIMEOUT: "late",
    MessageKind.CHILD: "routed",
    MessageKind.CHILDREN: "routed",
}


def message(before: Record, kind: MessageKind, attempt: int = 0) -> Message:
    return Message(
        key=MessageKey("routed", kind, MessageId("m")),
        run_id=before.run_id,
        name=NAMES[kind],
        statuses=(before.status,),
        by="a client",
        posted_at=NOW,
        attempt=attempt,
    )


def function_of(workflow: Workflow[Parcel, Site], kind: MessageKind) -> Any:
    graph = workflow.checked()
    return {
        MessageKind.CALLBACK: graph.callback("called"),
        MessageKind.TIMEOUT: graph.timeouts(Site.OPEN)[0],
        MessageKind.CHILD: graph.child(Site.OPEN, "routed"),
        MessageKind.CHILDREN: graph.children(Site.OPEN, "routed"),
    }[kind]


def decided(
    before: Record,
    outcome: Outcome,
    kind: MessageKind = MessageKind.CALLBACK,
    *,
    attempt: int = 0,
    on_failure: Site | None = None,
) -> MessageChange:
    workflow = sites(on_failure=on_failure)
    return decide_message(
        before,
        message(before, kind, attempt),
        outcome,
        function_of(workflow, kind),
        workflow,
        by="role",
        write_id=ID,
    )


def waiting(**changes: Any) -> Record:
    """A run at OPEN, which waits for messages."""
    return record(**{"status": 1, "awaits": Awaits.MESSAGE, "awaited": Version(0), **changes})


def between_attempts() -> Record:
    """A run at STEPPED whose step has failed twice and waits for its next attempt."""
    return record(
        status=2,
        version=Version(6),
        visit=Version(4),
        attempt=2,
        reason="broken",
        awaits=Awaits.EVENT,
        awaited=Version(6),
    )


VALUES: tuple[Site | Halt, ...] = (
    Site.DONE,
    Site.STEPPED,
    Site.OPEN,
    Stay(),
    Pause("p"),
    Cancel("c"),
)


def all_decisions() -> Iterator[tuple[Record, MessageChange]]:
    for before, kind, value in product((waiting(), between_attempts()), MessageKind, VALUES):
        yield before, decided(before, Returned(value, b"{}"), kind)
    for kind, attempt, fatal, on_failure in product(
        MessageKind, range(3), (False, True), (None, Site.LOST)
    ):
        before = waiting()
        outcome = Failed("broken", fatal=fatal)
        yield before, decided(before, outcome, kind, attempt=attempt, on_failure=on_failure)


# --- rules for every decision -------------------------------------------------------------------


def test_every_write_is_a_move_that_the_table_allows_and_builds_on_its_record() -> None:
    for before, change in all_decisions():
        if change.write is not None:
            assert may_move(before.run_state, change.write.run_state)
            assert change.write.expected == before.version
            assert change.write.by == "role"


def test_a_message_is_taken_by_a_write_or_it_has_failed() -> None:
    for _, change in all_decisions():
        taken = change.write is not None and len(change.write.takes) == 1
        assert taken != (change.failure is not None)


# --- what a function returns --------------------------------------------------------------------


@pytest.mark.parametrize("kind", MessageKind)
def test_a_status_is_entered_with_a_cause_that_names_the_kind_of_message(kind: MessageKind) -> None:
    write = decided(waiting(), Returned(Site.DONE, b"{}"), kind).write
    assert write is not None
    assert (write.status, write.run_state, write.cause.name, write.data) == (
        Site.DONE.value,
        RunState.COMPLETED,
        kind.name,
        b"{}",
    )


def test_a_status_that_waits_sets_its_timeouts_and_gatherings_and_asks_for_no_step() -> None:
    write = decided(waiting(), Returned(Site.OPEN, None)).write
    assert write is not None
    assert (write.visit, write.awaits, write.asks, write.events) == (3, Awaits.MESSAGE, False, ())
    assert [(timeout.name, timeout.after) for timeout in write.timeouts] == [("late", 60.0)]
    assert [(each.workflow, each.statuses) for each in write.gatherings] == [("routed", (1,))]


def test_a_status_with_a_step_is_entered_with_an_event() -> None:
    write = decided(waiting(), Returned(Site.STEPPED, None)).write
    assert write is not None
    assert (write.awaits, write.asks, len(write.events)) == (Awaits.EVENT, True, 1)
    assert (write.timeouts, write.gatherings) == ((), ())


def test_a_stay_leaves_the_step_as_it_was() -> None:
    before = between_attempts()
    write = decided(before, Returned(Stay(), b"{}")).write
    assert write is not None
    after = write.onto(before)
    assert (after.cause, after.visit, after.data) == (Cause.CALLBACK, 4, b"{}")
    assert (after.attempt, after.reason, after.awaited, after.awaits) == (
        2,
        "broken",
        6,
        Awaits.EVENT,
    )
    write = decided(waiting(), Returned(Stay(), None)).write
    assert write is not None
    assert (write.awaited, write.awaits) == (0, Awaits.MESSAGE)


def test_a_pause_remembers_that_the_step_is_still_to_run() -> None:
    before = between_attempts()
    write = decided(before, Returned(Pause("held"), None)).write
    assert write is not None
    after = write.onto(before)
    assert (after.run_state, after.reason, after.awaited, after.awaits, after.attempt) == (
        RunState.PAUSED,
        "held",
        6,
        Awaits.NOBODY,
        2,
    )


# --- failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MessageKind)
def test_a_failure_with_attempts_left_is_counted_on_the_message(kind: MessageKind) -> None:
    change = decided(waiting(), Failed("broken"), kind, attempt=1)
    assert change.write is None
    assert change.is_retried
    assert change.failure is not None
    assert (change.failure.attempt, change.failure.reason) == (2, "broken")
    assert 10 <= (change.failure.retry_in or 0) <= 20


def test_a_callback_that_fails_for_good_leaves_its_run_as_it_is() -> None:
    for change in (
        decided(waiting(), Failed("broken"), attempt=2),
        decided(waiting(), Failed("bug", fatal=True)),
    ):
        assert change.write is None
        assert not change.is_retried
        assert change.failure is not None
        assert change.failure.retry_in is None


WITHOUT_CALLER = [MessageKind.TIMEOUT, MessageKind.CHILD, MessageKind.CHILDREN]


@pytest.mark.parametrize("kind", WITHOUT_CALLER)
def test_another_message_that_fails_for_good_pauses_its_run_and_is_kept(kind: MessageKind) -> None:
    change = decided(waiting(), Failed("broken"), kind, attempt=2)
    assert change.write is not None
    assert change.failure is not None
    assert (change.write.run_state, change.write.cause, change.write.reason) == (
        RunState.PAUSED,
        Cause.FAILED,
        "broken",
    )
    assert change.write.takes == ()
    assert (change.failure.attempt, change.failure.retry_in) == (0, 0.0)


@pytest.mark.parametrize("kind", WITHOUT_CALLER)
def test_another_message_that_fails_for_good_leads_to_the_on_failure_status(
    kind: MessageKind,
) -> None:
    change = decided(waiting(), Failed("broken"), kind, attempt=2, on_failure=Site.LOST)
    assert change.failure is None
    assert change.write is not None
    assert (change.write.status, change.write.cause, change.write.reason) == (
        Site.LOST.value,
        Cause.FAILED,
        "broken",
    )


@pytest.mark.parametrize("kind", MessageKind)
def test_a_message_without_a_function_fails_or_pauses_its_run(kind: MessageKind) -> None:
    before = waiting()
    change = missing_function(before, message(before, kind), sites(), by="role", write_id=ID)
    assert change.failure is not None
    assert "no function" in change.failure.reason
    is_callback = kind is MessageKind.CALLBACK
    assert (change.write is None) == is_callback
    assert (change.failure.retry_in is None) == is_callback


@pytest.mark.parametrize("kind", MessageKind)
def test_a_message_waits_for_newer_code_if_the_data_is_of_a_later_version(
    kind: MessageKind,
) -> None:
    before = record(status=Site.OPEN.value, data_version=2)
    change = missing_function(before, message(before, kind, 1), sites(), by="role", write_id=ID)
    assert change.is_retried
    assert change.failure is not None
    assert change.failure.attempt == 1
    assert change.failure.reason == "its data is of version 2, and this code knows version 1"


def test_a_message_that_is_held_back_counts_no_attempt() -> None:
    before, workflow = waiting(), sites()
    change = decide_message(
        before,
        message(before, MessageKind.CALLBACK, 2),
        HeldBack("newer", 2.5),
        function_of(workflow, MessageKind.CALLBACK),
        workflow,
        by="role",
        write_id=ID,
    )
    assert change.write is None
    assert change.failure is not None
    assert (change.failure.attempt, change.failure.reason) == (2, "newer")
    assert change.failure.retry_in == 2.5


# --- in-doubt attempts --------------------------------------------------------------------------


def counted(attempt: int, kind: MessageKind = MessageKind.CALLBACK) -> MessageChange:
    before, workflow = waiting(), sites()
    return count_message(
        before,
        message(before, kind, attempt),
        function_of(workflow, kind),
        workflow,
        by="role",
        write_id=ID,
    )


def test_an_in_doubt_attempt_is_counted_on_the_message_and_is_retried_after_a_crash() -> None:
    change = counted(1)
    assert change.is_retried
    assert change.failure is not None
    assert change.failure.attempt == 2
    before = waiting()
    stored = message(before, MessageKind.CALLBACK)
    assert not was_counted(stored)
    assert give_back_message(stored).failure is not None


def test_a_message_that_crashes_have_left_without_attempts_fails_without_another() -> None:
    change = counted(3)
    assert not change.is_retried
    assert change.failure is not None
    assert (change.failure.attempt, change.failure.retry_in) == (3, None)
    assert "the process died while called ran" in change.failure.reason
    paused = counted(3, MessageKind.TIMEOUT)
    assert paused.write is not None
    assert paused.write.run_state is RunState.PAUSED
