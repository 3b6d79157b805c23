"""A run as it was at an earlier version. Pure."""

from collections.abc import Sequence

import msgspec

from workflow_ray.records import Cause, HistoryEntry, Message, Record, Version, WriteId


def is_enough(entries: Sequence[HistoryEntry]) -> bool:
    """Whether `as_of` can read the data and the visit of the last of these versions."""
    return any(each.data is not None for each in entries) and _visit(entries) is not None


def as_of(record: Record, entries: Sequence[HistoryEntry]) -> Record:
    """Return the record as it was at the last of the given versions.

    `attempt` is 0, because the history does not tell it.

    Args:
        record: The run as it stands now, or stood at any version.
        entries: Its versions up to the wanted one, ascending, without gaps. They need not begin at
            the first version, but must be enough: see `is_enough`.
    """
    last = entries[-1]
    return msgspec.structs.replace(
        record,
        status=last.status,
        run_state=last.run_state,
        version=last.version,
        visit=_visit(entries) or record.visit,
        attempt=0,
        cause=last.cause,
        reason=last.reason,
        data=next((each.data for each in reversed(entries) if each.data is not None), record.data),
        updated_at=last.at,
    )


def failed_message(message: Message, at: HistoryEntry) -> HistoryEntry:
    """Make an entry of a message that has failed for good, which made no version of the run.

    Args:
        message: The message.
        at: The version of the run at which it failed.
    """
    return msgspec.structs.replace(
        at,
        cause=Cause.FAILED,
        by=message.by,
        reason=f"callback {message.name}: {message.reason or 'it failed'}",
        at=message.settled_at or message.posted_at,
        write_id=WriteId(message.key.id),
        data=None,
    )


def _visit(entries: Sequence[HistoryEntry]) -> Version | None:
    """Return the version at which the run entered its last status. None: the entries don't tell.

    A step's status is always entered, also the same one again. Of another function the history does
    not tell the same status from Stay, so it counts as Stay.
    """
    before: HistoryEntry | None = None
    visit: Version | None = None
    for each in entries:
        is_other = before is not None and before.status != each.status
        if is_other or each.cause in (Cause.TRIGGER, Cause.STEP):
            visit = each.version
        before = each
    return visit
