"""What retention removes, and what `erases` of a write clears."""

from msgspec.structs import replace

from toyrecords.state import State
from workflow_ray.records import Removal, RunId, RunState

MAX_KEYS = 500


def carry_out(state: State, removal: Removal) -> int:
    """Remove what is asked for, and return how many runs, histories and keys that was."""
    runs = [
        run_id
        for run_id in removal.runs
        if _is_finished(state, removal, run_id)
        and state.records[run_id].run_state is not RunState.REQUESTED_DATA_DELETED
    ]
    for run_id in dict.fromkeys(runs):
        _remove(state, run_id)
    removed = len(dict.fromkeys(runs))
    for run_id in removal.histories:
        if _is_finished(state, removal, run_id):
            removed += len(state.history[run_id]) > 1
            state.history[run_id] = state.history[run_id][-1:]
    if removal.keys_below is not None:
        removed += _forget(state, removal.workflow, removal.keys_below)
    return removed


def clear_messages(state: State, run_id: RunId) -> None:
    """Clear the payloads and errors of the run's messages."""
    state.messages = [
        replace(message, payload=b"", reason=None) if message.run_id == run_id else message
        for message in state.messages
    ]


def _is_finished(state: State, removal: Removal, run_id: RunId) -> bool:
    record = state.records.get(run_id)
    return record is not None and record.workflow == removal.workflow and record.run_state.finished


def _remove(state: State, run_id: RunId) -> None:
    del state.records[run_id], state.history[run_id]
    state.results.pop(run_id, None)
    clear_messages(state, run_id)
    # links to it as a child stay while its parent counts its children
    state.children = [child for child in state.children if child.linked.parent != run_id]
    state.forget({timeout.key for timeout in state.timeouts if timeout.key.run_id == run_id})


def _forget(state: State, workflow: str, below: RunId) -> int:
    keys = state.keys.get(workflow, {})
    old_keys = [
        key
        for key, used in keys.items()
        if used.run_id < below and used.run_id not in state.records
    ][:MAX_KEYS]
    for key in old_keys:
        del keys[key]
    old = [
        message.key
        for message in state.messages
        if message.key.workflow == workflow
        and message.run_id < below
        and message.run_id not in state.records
    ][:MAX_KEYS]
    state.messages = [message for message in state.messages if message.key not in old]
    return len(old_keys) + len(old)
