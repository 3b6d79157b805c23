"""Deletion of a run's data: what is asked for, and what is left of the run. Pure."""

from collections.abc import Sequence

import msgspec

from workflow_ray.engine.next_version import Next
from workflow_ray.records import (
    DELETED,
    Cause,
    HistoryEntry,
    NewSetAside,
    Record,
    RunState,
    Write,
    WriteId,
    deletion_entry,
)


def request_deletion(nxt: Next) -> Write:
    """Make the version that asks for the deletion. A reason would be deleted too."""
    return nxt.stay(
        Cause.DELETION_REQUESTED,
        run_state=RunState.REQUESTED_DATA_DELETED,
        attempt=nxt.record.attempt,
    )


def delete_data(
    record: Record, kept: bytes | None, *, data_version: int, by: str, write_id: WriteId
) -> Write:
    """Make the version that deletes the data of a run, and its labels, from all that is stored.

    Args:
        record: The run, whose deletion was asked for.
        kept: The data that the scrubber keeps. None: the workflow has no scrubber.
        data_version: Of what is kept.
        by: The role that deletes it.
        write_id: The id of the write.
    """
    write = Next(record, by, write_id).stay(
        Cause.DATA_DELETED,
        run_state=RunState.DATA_DELETED,
        attempt=record.attempt,
        data=DELETED if kept is None else kept,
        data_version=data_version,
        labels={},
    )
    return msgspec.structs.replace(write, erases=True)


def deletion_entries(
    decided: Sequence[tuple[Record, bool]],
) -> tuple[NewSetAside, ...]:
    """Return the entries that wake the data role.

    A deletion that was asked for earlier is tried again at once, with all its attempts.

    Args:
        decided: The runs for which the deletion was asked for, as they were before that, and
            whether a version asks for it now.
    """
    return tuple(
        deletion_entry(record.workflow, record.run_id)
        for record, is_new in decided
        if is_new or record.run_state is RunState.REQUESTED_DATA_DELETED
    )


def announced_at(entries: Sequence[HistoryEntry]) -> tuple[HistoryEntry, ...]:
    """Return the versions of a run at which hooks may have been called: its run state changed."""
    return tuple(
        entry
        for before, entry in zip((None, *entries[:-1]), entries, strict=True)
        if before is None or before.run_state is not entry.run_state
    )
