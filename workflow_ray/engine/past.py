"""A run as it was at an earlier version. It depends on nothing but the versions that it reads."""

from collections.abc import Awaitable, Sequence
from typing import Protocol

import msgspec

from workflow_ray.records import Cause, HistoryEntry, Message, Record, RunState, Version, WriteId
from workflow_ray.records.encoded import readable

AT_ONCE = 50
"""The number of versions that are read at once."""


class ReadVersions(Protocol):
    """Reads entries of a run's history, as `RecordStore.history` does."""

    def __call__(self, *, after: Version, limit: int) -> Awaitable[Sequence[HistoryEntry]]: ...


async def read_as_of(record: Record, read: ReadVersions, version: Version) -> Record | None:
    """Read a run as it was at an earlier version. None: the history does not tell that any more.

    Retention may have removed the version that the data is from. It trims finished runs only, so
    the data is still that of the record, unless it was deleted since.

    Args:
        record: The run at a later version.
        read: Reads its history.
        version: The version.
    """
    entries = await read_back(read, version)
    if not entries or entries[-1].version != version:
        return None
    if not _has_data(entries):
        later = await read_between(read, version, record.version)
        if _has_data(later) or len(later) != record.version - version:
            return None
    return as_of(record, entries)


def with_oldest_data(record: Record, entries: list[HistoryEntry]) -> list[HistoryEntry]:
    """Let the oldest of the first entries of a history have data, also if retention has removed the
    version that its data is from.

    Args:
        record: The run, which was read before its entries.
        entries: Of its history, from the oldest one that is left.
    """
    is_deleted = record.run_state is RunState.DATA_DELETED
    if not entries or _has_data(entries) or is_deleted:
        return entries
    data, data_version = record.data, record.data_version
    return [
        msgspec.structs.replace(entries[0], data=data, data_version=data_version),
        *entries[1:],
    ]


async def read_back(read: ReadVersions, version: Version) -> list[HistoryEntry]:
    """Read the versions of a run up to this one, from one back at which `as_of` knows enough.

    Versions that the history does not have are left out.
    """
    entries: list[HistoryEntry] = []
    end = version
    while end and not is_enough(entries):
        begin = Version(max(0, end - AT_ONCE))
        entries = await read_between(read, begin, end) + entries
        end = begin
    return entries


async def read_between(read: ReadVersions, begin: Version, end: Version) -> list[HistoryEntry]:
    """Read the versions above `begin`, up to `end`, as many at a time as their data allows."""
    entries: list[HistoryEntry] = []
    after = begin
    while after < end and (page := await read(after=after, limit=end - after)):
        entries += page
        after = page[-1].version
    return [each for each in entries if each.version <= end]


ENTERING = (Cause.TRIGGER, Cause.STEP, Cause.MOVED, Cause.FORKED)
"""Causes of versions that always enter a status, even if it is the one before."""


def is_enough(entries: Sequence[HistoryEntry]) -> bool:
    """Whether `as_of` can read the data and the visit of the last of these versions."""
    return _has_data(entries) and _visit(entries) is not None


def _has_data(entries: Sequence[HistoryEntry]) -> bool:
    return any(each.data is not None for each in entries)


def as_of(record: Record, entries: Sequence[HistoryEntry]) -> Record:
    """Return the record as it was at the last of the given versions.

    `attempt` is 0, because the history does not tell it.

    Args:
        record: The run as it stands now, or stood at any version.
        entries: Its versions up to the wanted one, ascending, without gaps. They need not begin at
            the first version, but must be enough: see `is_enough`.
    """
    last = entries[-1]
    with_data = next((each for each in reversed(entries) if each.data is not None), None)
    return msgspec.structs.replace(
        record,
        status=last.status,
        run_state=last.run_state,
        version=last.version,
        visit=_visit(entries) or record.visit,
        attempt=0,
        cause=last.cause,
        reason=last.reason,
        data=record.data if with_data is None else with_data.data or b"",
        data_version=record.data_version if with_data is None else with_data.data_version,
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
        reason=f"callback {message.name}: {readable(message.reason or 'it failed')}",
        at=message.settled_at or message.posted_at,
        write_id=WriteId(message.key.id),
        data=None,
        error=None,
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
        if is_other or each.cause in ENTERING:
            visit = each.version
        before = each
    return visit
