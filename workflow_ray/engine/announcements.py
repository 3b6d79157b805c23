"""Run-state events: which changes of a run's state are announced to the workflow's hooks. Pure."""

from collections.abc import Collection
from typing import Any

import msgspec

from workflow_ray.definition import Graph
from workflow_ray.records import Event, OutgoingEvent, Record, RunState, Write, run_state_topic

HEADER = "run-state"
"""The header of an event that names the run state that it announces."""


def asked_states(graph: Graph[Any]) -> frozenset[RunState]:
    """Return the run states that a hook of the workflow asks for."""
    return frozenset(hook.run_state for hook in graph.hooks)


def announced(
    asked: Collection[RunState],
    workflow: str,
    partition: int,
    before: RunState | None,
    run_state: RunState,
) -> tuple[OutgoingEvent, ...]:
    """Return the event that announces a change of the run state, if a hook asks for that state.

    Args:
        asked: The run states that hooks ask for.
        workflow: The workflow's name.
        partition: The run's.
        before: The run state before the write. None: the run is new.
        run_state: The run state after it.
    """
    if before is run_state or run_state not in asked:
        return ()
    headers = {HEADER: run_state.name}
    return (OutgoingEvent(topic=run_state_topic(workflow), partition=partition, headers=headers),)


def announcing(asked: Collection[RunState], before: Record | None, write: Write) -> Write:
    """Add the event that announces a change of the run state to a write, if a hook asks for it.

    Args:
        asked: The run states that hooks ask for.
        before: The record that the write builds on. None: the run is new.
        write: The write.
    """
    if not asked:  # as in most workflows
        return write
    if before is not None:
        workflow, partition, state = before.workflow, before.partition, before.run_state
    else:
        assert write.new is not None, "a write without a record makes a new run"
        workflow, partition, state = write.new.workflow, write.new.partition, None
    events = announced(asked, workflow, partition, state, write.run_state)
    return msgspec.structs.replace(write, events=write.events + events) if events else write


def announced_state(event: Event) -> RunState | None:
    """Return the run state that an event announces. None: it is not known to this code."""
    return RunState.__members__.get(event.headers.get(HEADER, ""))
