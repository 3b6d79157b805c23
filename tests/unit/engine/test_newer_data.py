"""Runs whose data is of a later version than the code are held back for longer each time."""

from datetime import timedelta

from msgspec.structs import replace

from tests.unit.parcels import Route, record, routed
from workflow_ray.engine.held_back import is_held_as_before, postponed
from workflow_ray.engine.newer_data import holding, holding_message
from workflow_ray.engine.transition import HeldBack, decide
from workflow_ray.errors import NewerData
from workflow_ray.records import (
    Cause,
    Event,
    Message,
    MessageId,
    MessageKey,
    MessageKind,
    Record,
    RunId,
    Topic,
    Version,
    WriteId,
)

TIMES = 10
EVENT = Event(
    run_id=RunId("r"),
    topic=Topic("routed-1"),
    partition=3,
    version=Version(1),
    status=1,
    headers={"traceparent": "00-1"},
)


def newer(run: Record) -> NewerData:
    return NewerData(run.workflow, run.run_id, 2, 1)


def message_to(run: Record) -> Message:
    return Message(
        key=MessageKey("routed", MessageKind.CALLBACK, MessageId("m")),
        run_id=run.run_id,
        name="paid",
        statuses=(run.status,),
        by="test",
        posted_at=run.updated_at,
    )


def check_growing(delays: list[float]) -> None:
    assert 0.5 <= delays[0] <= 1, delays
    assert max(delays) <= 30, delays
    assert min(delays[-2:]) >= 15, delays


def test_the_reason_names_both_versions() -> None:
    run = record(data_version=2)
    why = "its data is of version 2, and this code knows version 1"
    assert holding(newer(run), run, EVENT, None).reason == why
    assert holding_message(run, message_to(run), 1).reason == why


def test_a_step_waits_longer_each_time_and_gets_a_version_the_first_time() -> None:
    workflow, run = routed(), record(data_version=2)
    step = workflow.checked().step(Route.PACKED)
    assert step is not None
    held = holding(newer(run), run, EVENT, None)
    assert not is_held_as_before(run, held)
    delays = [held.again_in]
    run = decide(run, held, step, workflow, by="role", write_id=WriteId("w")).onto(run)
    event = EVENT
    for number in range(1, TIMES):
        held = holding(newer(run), run, event, None)
        assert is_held_as_before(run, held)
        later = postponed(run, event, held)
        event = later.event
        delays.append(later.delay)
        assert (event.version, event.topic, event.partition) == (run.awaited, "routed-1", 3)
        assert event.headers == {"traceparent": "00-1", "held": str(number)}
    check_growing(delays)


def test_another_reason_or_cause_is_not_as_before() -> None:
    held = HeldBack("its data is newer", 1.0)
    run = record(cause=Cause.PARKED, reason="its data is newer")
    assert is_held_as_before(run, held)
    assert not is_held_as_before(replace(run, reason="a circuit breaker is open"), held)
    assert not is_held_as_before(replace(run, cause=Cause.RETRY), held)


def test_a_message_waits_longer_each_time() -> None:
    run = record(data_version=2)
    message, delays = message_to(run), list[float]()
    for _ in range(TIMES):
        delays.append(holding(newer(run), run, EVENT, message).again_in)
        due = (message.due_at or message.posted_at) + timedelta(seconds=delays[-1])
        message = replace(message, due_at=due)
    check_growing(delays)


def test_runs_that_are_held_back_at_once_come_back_at_different_times() -> None:
    runs = [record() for _ in range(50)]
    delays = {holding(newer(run), run, EVENT, None).again_in for run in runs}
    assert len(delays) == 50
