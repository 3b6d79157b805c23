"""Histories: the entries of each run, by version."""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice

from msgspec.structs import replace

from workflow_ray.records import HistoryEntry, RunId, Version, Write
from workflow_ray_adapters.memory.paging import page_of


class Histories:
    """The entries of each run, in the order of their versions, without a gap.

    A history begins at version 1, until its older entries are removed.
    """

    def __init__(self) -> None:
        self._entries: dict[RunId, list[HistoryEntry]] = {}

    # --- writing --------------------------------------------------------------------------------

    def add(self, write: Write, now: datetime) -> None:
        entries = self._entries.setdefault(write.run_id, [])
        if write.erases:
            entries[:] = [_erased(entry) for entry in entries]
        entries.append(_entry(write, now))

    def trim(self, run_id: RunId) -> bool:
        """Remove all entries but the newest one. False: there were none to remove."""
        older = self._entries[run_id][:-1]
        del self._entries[run_id][:-1]
        return bool(older)

    def remove(self, run_id: RunId) -> None:
        del self._entries[run_id]

    # --- reading --------------------------------------------------------------------------------

    def has(self, write: Write) -> bool:
        """Whether the write made the version that follows the one that it builds on."""
        return any(
            entry.write_id == write.write_id
            for entry in islice(self.after(write.run_id, write.expected), 1)
        )

    def page(self, run_id: RunId, after: Version, limit: int) -> list[HistoryEntry]:
        return page_of(self.after(run_id, after), limit)

    def after(self, run_id: RunId, version: Version) -> Sequence[HistoryEntry]:
        """Return the entries that are left above the version."""
        entries = self._entries.get(run_id, [])
        removed = entries[0].version - 1 if entries else 0
        return entries[max(0, version - removed) :]


def _erased(entry: HistoryEntry) -> HistoryEntry:
    data = None if entry.data is None else b""
    return replace(entry, data=data, reason=None, error=None)


def _entry(write: Write, now: datetime) -> HistoryEntry:
    return HistoryEntry(
        run_id=write.run_id,
        version=write.version,
        status=write.status,
        run_state=write.run_state,
        cause=write.cause,
        by=write.by,
        reason=write.reason,
        at=now,
        write_id=write.write_id,
        data=write.data,
        data_version=write.data_version,
        error=write.error,
    )
