"""Run-state events: sent where a hook asks for the run state, and nowhere else."""

import msgspec
import pytest

from tests.unit.parcels import ParcelRun, packing, record
from workflow_ray import RunState
from workflow_ray.cli.run_controls import _announced  # pyright: ignore[reportPrivateUsage]
from workflow_ray.engine.announcements import announced, announced_state, announcing, asked_states
from workflow_ray.engine.control import Action, Control, decide_control
from workflow_ray.records import (
    Deployment,
    Event,
    Version,
    Write,
    new_run_id,
    new_write_id,
    run_state_topic,
)
from workflow_ray.runtime.deploying import describe_here


def paused() -> Write:
    """Pause the run of `record`."""
    decided = decide_control(
        record(), Control(Action.PAUSE, "a test", "why"), write_id=new_write_id()
    )
    assert isinstance(decided, Write)
    return decided


@pytest.mark.parametrize(
    ("asked", "before", "after", "is_sent"),
    [
        ({RunState.PAUSED}, RunState.RUNNING, RunState.PAUSED, True),
        ({RunState.COMPLETED}, None, RunState.COMPLETED, True),
        ({RunState.PAUSED}, RunState.PAUSED, RunState.PAUSED, False),
        ({RunState.PAUSED}, RunState.RUNNING, RunState.CANCELLED, False),
        (set[RunState](), RunState.RUNNING, RunState.PAUSED, False),
    ],
)
def test_a_change_is_announced_if_a_hook_asks_for_the_state(
    asked: set[RunState], before: RunState | None, after: RunState, is_sent: bool
) -> None:
    events = announced(asked, "parcels", 3, before, after)
    assert bool(events) is is_sent
    for event in events:
        assert (event.topic, event.partition) == (run_state_topic("parcels"), 3)


def test_a_write_that_announces_keeps_its_own_events_and_the_others_stay_as_they_are() -> None:
    write = paused()
    assert announcing(frozenset(), record(), write) is write
    more = announcing({RunState.PAUSED}, record(), write)
    assert more.events[: len(write.events)] == write.events
    assert len(more.events) == len(write.events) + 1


def test_the_event_names_the_state_that_it_announces() -> None:
    (outgoing,) = announced({RunState.PAUSED}, "parcels", 0, None, RunState.PAUSED)
    event = Event(
        run_id=new_run_id(),
        topic=outgoing.topic,
        partition=0,
        version=Version(2),
        status=1,
        headers=outgoing.headers,
    )
    assert announced_state(event) is RunState.PAUSED
    assert announced_state(msgspec.structs.replace(event, headers={})) is None


def test_the_command_line_announces_to_each_workflow_that_has_hooks() -> None:
    hooked, plain = packing(), packing()

    @hooked.on_cancel
    async def regret(run: ParcelRun) -> None: ...

    assert asked_states(hooked.checked()) == {RunState.CANCELLED}
    described = msgspec.structs.replace(describe_here(plain), name="plain")
    deployment = Deployment(store_id="s", workflows=(describe_here(hooked), described))
    assert _announced(deployment) == {
        "parcels": {RunState.PAUSED, RunState.CANCELLED, RunState.COMPLETED}
    }
