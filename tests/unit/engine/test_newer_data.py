"""Runs whose data is of a later version than the code are held back for longer each time."""

from datetime import timedelta

from msgspec.structs import replace

from tests.unit.parcels import Route, record, routed
from workflow_ray.engine.newer_data import holding, holding_message
from workflow_ray.engine.transition import decide
from workflow_ray.errors import NewerData
from workflow_ray.records import (
    Message,
    MessageId,
    MessageKey,
    MessageKind,
    Record,
    WriteId,
)

TIMES = 10


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
    assert holding(newer(run), run, None).reason == why
    assert holding_message(run, message_to(run), 1).reason == why


def test_a_step_waits_longer_each_time() -> None:
    workflow, run, delays = routed(), record(data_version=2), list[float]()
    step = workflow.checked().step(Route.PACKED)
    assert step is not None
    for number in range(TIMES):
        held = holding(newer(run), run, None)
        delays.append(held.again_in)
        write = decide(run, held, step, workflow, by="role", write_id=WriteId(f"w{number}"))
        run = write.onto(run)
    check_growing(delays)


def test_a_message_waits_longer_each_time() -> None:
    run = record(data_version=2)
    message, delays = message_to(run), list[float]()
    for _ in range(TIMES):
        delays.append(holding(newer(run), run, message).again_in)
        due = (message.due_at or message.posted_at) + timedelta(seconds=delays[-1])
        message = replace(message, due_at=due)
    check_growing(delays)


def test_runs_that_are_held_back_at_once_come_back_at_different_times() -> None:
    delays = {holding(newer(run), run, None).again_in for run in (record() for _ in range(50))}
    assert len(delays) == 50
