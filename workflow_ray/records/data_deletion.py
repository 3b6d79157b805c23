"""Deletions of data that were asked for: what the entries of the data role hold.

Each is an entry that the role has set aside for a run, so that it has attempts, and is a dead
letter when they are used up.
"""

import msgspec

from workflow_ray.records.ids import RunId
from workflow_ray.records.role import Fence, data_group
from workflow_ray.records.set_aside import NewSetAside, SetAsideEvent, SetAsideKey


def deletion_key(workflow: str, run_id: RunId) -> SetAsideKey:
    return SetAsideKey(data_group(workflow), 0, 0, run_id)


def deletion_entry(
    workflow: str,
    run_id: RunId,
    *,
    attempt: int = 0,
    error: str = "",
    retry_in: float | None = 0.0,
    running: Fence | None = None,
) -> NewSetAside:
    """Return the entry that asks the data role to delete the data of a run.

    Args:
        workflow: The run's workflow.
        run_id: The run.
        attempt: Failed attempts so far.
        error: Of the last one.
        retry_in: Seconds until the next one. None: there is none.
        running: The holder of the role that calls the scrubber for the run now.
    """
    return NewSetAside(
        key=deletion_key(workflow, run_id),
        event_id=run_id,
        event=msgspec.json.encode(SetAsideEvent(running=running)),
        attempt=attempt,
        error=error,
        retry_in=retry_in,
    )
