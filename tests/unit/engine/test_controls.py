"""Every control of every run in every state is allowed by the table of run states, or refused."""

import itertools
from datetime import timedelta
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, Route, RoutedRun, record, routed
from workflow_ray import Workflow
from workflow_ray.engine.control import (
    Action,
    Control,
    Destination,
    Refused,
    Unchanged,
    decide_control,
)
from workflow_ray.engine.data_deletion import delete_data
from workflow_ray.engine.events import ALL, CASCADE
from workflow_ray.engine.run_states import MOVES, may_move
from workflow_ray.records import (
    DELETED,
    Awaits,
    Cause,
    Record,
    RunState,
    Version,
    Write,
    new_write_id,
)

ROUTED = routed()
CAUSES = (Cause.TRIGGER, Cause.STEP, Cause.PAUSE, Cause.FAILED, Cause.RETRY, Cause.MOVED)
STATUSES = (*Route, None)
"""Where a run is moved to; None for a control that moves nothing."""


def control(action: Action, to: Route | None = None, cascade: bool | None = None) -> Control:
    destination = None if to is None else Destination(ROUTED, to)
    reason = None if action is Action.DELETE_DATA else "because"
    return Control(action, "ann", reason, cascade=cascade, to=destination)


def controls(*, without: tuple[Action, ...] = ()) -> list[Control]:
    plain = [control(action) for action in Action if action not in (Action.MOVE, *without)]
    moves = [control(Action.MOVE, to) for to in Route]
    return [*plain, *moves, *(control(Action.CANCEL, cascade=each) for each in (True, False))]


def runs() -> list[Record]:
    """Runs in every state, with each cause, with and without a step that is still to run."""
    return [
        record(
            run_state=state,
            cause=cause,
            attempt=attempt,
            cascades=cascades,
            awaits=Awaits.NOBODY if state.at_rest else Awaits.EVENT,
            awaited=Version(awaited),
        )
        for state, cause, attempt, awaited, cascades in itertools.product(
            RunState, CAUSES, (0, 1), (0, 2), (False, True)
        )
    ]


@pytest.mark.parametrize("asked", controls(), ids=str)
def test_the_table_of_run_states_holds_for_every_control_of_every_run(asked: Control) -> None:
    for run in runs():
        decided = decide_control(run, asked, write_id=new_write_id())
        if not isinstance(decided, Write):
            assert isinstance(decided, Unchanged) or asked.action.verb or decided.why
            continue
        assert may_move(run.run_state, decided.run_state), (run, decided)
        assert (decided.expected, decided.by, decided.reason) == (run.version, "ann", asked.reason)
        after = decided.onto(run)
        assert (after.awaits is Awaits.NOBODY) == after.run_state.at_rest
        assert (after.awaits is Awaits.EVENT) == (after.awaited > 0 and not after.run_state.at_rest)
        wakes = any(CASCADE not in event.headers for event in decided.events)
        assert wakes == decided.asks, "the step that it asks for has an event"


@pytest.mark.parametrize("asked", controls(without=(Action.DELETE_DATA,)), ids=str)
def test_a_finished_run_allows_no_control(asked: Control) -> None:
    for run in runs():
        if run.run_state.finished:
            decided = decide_control(run, asked, write_id=new_write_id())
            is_cancelled = run.run_state is RunState.CANCELLED and asked.action is Action.CANCEL
            assert isinstance(decided, Unchanged if is_cancelled else Refused), (run, decided)


def test_the_data_of_a_finished_run_is_deleted_when_that_is_asked_for_and_only_then() -> None:
    asked = control(Action.DELETE_DATA)
    for run in runs():
        decided = decide_control(run, asked, write_id=new_write_id())
        if not run.run_state.finished:
            assert isinstance(decided, Refused)
            assert run.run_state.name in decided.why
        elif run.run_state >= RunState.REQUESTED_DATA_DELETED:
            assert isinstance(decided, Unchanged)
        else:
            assert isinstance(decided, Write)
            assert decided.run_state is RunState.REQUESTED_DATA_DELETED
            assert (decided.cause, decided.data) == (Cause.DELETION_REQUESTED, None)
            assert not decided.events
            assert not decided.erases


@pytest.mark.parametrize("kept", [None, b'{"weight":1}'])
def test_the_deletion_of_data_leaves_what_is_kept(kept: bytes | None) -> None:
    run = record(
        run_state=RunState.REQUESTED_DATA_DELETED,
        reason="why",
        labels={"tenant": "acme"},
        awaits=Awaits.NOBODY,
        awaited=Version(0),
    )
    write = delete_data(run, kept, data_version=3, by="role", write_id=new_write_id())
    assert may_move(run.run_state, write.run_state)
    after = write.onto(run)
    assert after.run_state is RunState.DATA_DELETED
    assert (after.data, after.reason, after.labels) == (kept or DELETED, None, {})
    assert after.data_version == 3
    assert (after.run_id, after.foreign_id, after.status) == (
        run.run_id,
        run.foreign_id,
        run.status,
    )
    assert write.erases
    assert (write.cause, write.by, write.events) == (Cause.DATA_DELETED, "role", ())


@pytest.mark.parametrize("to", Route)
def test_every_unfinished_run_may_be_moved_to_every_status(to: Route) -> None:
    ends = to in (Route.SENT, Route.LOST)
    for run in runs():
        if run.run_state.finished:
            continue
        write = decide_control(run, control(Action.MOVE, to), write_id=new_write_id())
        assert isinstance(write, Write)
        assert (write.status, write.visit, write.attempt) == (to.value, run.version + 1, 0)
        assert write.run_state is (RunState.COMPLETED if ends else RunState.RUNNING)
        assert (write.cause, write.asks, write.data) == (Cause.MOVED, not ends, None)


def test_the_table_leads_to_states_that_it_has_and_never_back_from_the_end() -> None:
    assert set(MOVES) == set(RunState)
    for state, following in MOVES.items():
        assert following <= set(RunState)
        if state.finished:
            assert all(later.finished for later in following)


def test_a_status_whose_timeouts_cannot_be_set_is_not_moved_to() -> None:
    workflow = Workflow("routed", Parcel, Route, entry=tuple(Route))

    @workflow.step(Route.NEW)
    async def pack(run: RoutedRun) -> Literal[Route.PACKED]:
        return Route.PACKED

    @workflow.timeout(Route.PACKED, at=lambda run: run.created_at.replace(tzinfo=None))
    async def expire(run: RoutedRun) -> Literal[Route.LOST]:
        return Route.LOST

    asked = Control(Action.MOVE, "ann", "because", to=Destination(workflow, Route.PACKED))
    decided = decide_control(record(status=Route.NEW.value), asked, write_id=new_write_id())
    assert isinstance(decided, Refused)
    assert decided.why == (
        "the timeout expire of Route.PACKED can't be set: its `at` gave a time without a timezone"
    )


def test_a_move_sets_the_timeouts_of_the_status() -> None:
    workflow = Workflow("routed", Parcel, Route, entry=tuple(Route))

    @workflow.step(Route.NEW)
    async def pack(run: RoutedRun) -> Literal[Route.PACKED]:
        return Route.PACKED

    @workflow.timeout(Route.PACKED, after=timedelta(hours=1))
    async def expire(run: RoutedRun) -> Literal[Route.LOST]:
        return Route.LOST

    asked = Control(Action.MOVE, "ann", "because", to=Destination(workflow, Route.PACKED))
    write = decide_control(record(run_state=RunState.PAUSED), asked, write_id=new_write_id())
    assert isinstance(write, Write)
    assert [timeout.name for timeout in write.timeouts] == ["expire"]
    assert (write.awaits, write.run_state) == (Awaits.MESSAGE, RunState.RUNNING)


@pytest.mark.parametrize("cascades", [False, True])
@pytest.mark.parametrize(
    ("cascade", "expected"), [(None, ("", None)), (True, (ALL, ALL)), (False, (None, None))]
)
def test_a_cancellation_stores_with_itself_which_children_it_cancels(
    cascades: bool, cascade: bool | None, expected: tuple[str | None, str | None]
) -> None:
    asked = control(Action.CANCEL, cascade=cascade)
    write = decide_control(record(cascades=cascades), asked, write_id=new_write_id())
    assert isinstance(write, Write)
    which = [event.headers.get(CASCADE) for event in write.events]
    wanted = expected[0] if cascades else expected[1]
    assert which == ([] if wanted is None else [wanted])
