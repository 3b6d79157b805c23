"""The allowed moves between run states."""

from workflow_ray.records import RunState

MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.INITIATED: frozenset(
        {RunState.RUNNING, RunState.PAUSED, RunState.CANCELLED, RunState.COMPLETED}
    ),
    RunState.RUNNING: frozenset(
        {RunState.RUNNING, RunState.PAUSED, RunState.CANCELLED, RunState.COMPLETED}
    ),
    RunState.PAUSED: frozenset({RunState.RUNNING, RunState.CANCELLED, RunState.COMPLETED}),
    RunState.CANCELLED: frozenset({RunState.REQUESTED_DATA_DELETED}),
    RunState.COMPLETED: frozenset({RunState.REQUESTED_DATA_DELETED}),
    RunState.REQUESTED_DATA_DELETED: frozenset({RunState.DATA_DELETED}),
    RunState.DATA_DELETED: frozenset(),
}


def may_move(current: RunState, to: RunState) -> bool:
    return to in MOVES[current]
