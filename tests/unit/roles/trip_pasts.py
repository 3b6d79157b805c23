"""What has become of the runs of trips."""

from dataclasses import dataclass

import msgspec

from tests.unit.roles.trip_data import SCRUBBED
from workflow_ray.records import DELETED, Cause, HistoryEntry, Record, RunState

CANCELLED_WITH = "cancelled with cascade="
"""The beginning of the reason of a cancellation by the test; the choice follows."""


class Noting(msgspec.Struct):
    """What the check reads of a run's data."""

    noted: list[str] = []
    fate: str | None = None  # of a box


@dataclass
class Past:
    """A run, its history, and what each of its versions noted."""

    record: Record
    entries: list[HistoryEntry]
    added: list[list[str]]
    reason: str | None  # of the record, before its deletion
    fate: str | None  # of a box

    @property
    def end(self) -> HistoryEntry:
        """The version that has finished it."""
        return next(entry for entry in self.entries if entry.run_state.finished)

    @property
    def notes(self) -> list[str]:
        return [note for notes in self.added for note in notes]

    @property
    def cascade(self) -> bool | None:
        """Of a run that the test has cancelled: whether all its children are, too."""
        chosen = (self.reason or "").removeprefix(CANCELLED_WITH)
        return {"True": True, "False": False}.get(chosen)

    def started(self) -> list[tuple[int, str]]:
        """The version and the foreign id of each start of a child."""
        return [
            (entry.version, note.removeprefix("start:"))
            for entry, notes in zip(self.entries, self.added, strict=True)
            for note in notes
            if note.startswith("start:")
        ]


def past_of_deleted(record: Record, entries: list[HistoryEntry], before: Past) -> Past:
    """Return the past of a run whose data is to be deleted, or was, and check that.

    Args:
        record: The run.
        entries: Its history.
        before: What was known of it when it was finished, which stays except for what is deleted.
    """
    known, later = entries[: len(before.entries)], entries[len(before.entries) :]
    is_deleted = record.run_state is RunState.DATA_DELETED
    assert known == [_without_data(entry) if is_deleted else entry for entry in before.entries]
    causes = [entry.cause for entry in later]
    assert causes == [Cause.DELETION_REQUESTED, Cause.DATA_DELETED][: len(causes)], later
    assert is_deleted == (Cause.DATA_DELETED in causes), (record, later)
    if is_deleted:
        kept = SCRUBBED.get(record.workflow, {}).get(record.data_version, DELETED)
        assert record.data == later[-1].data == kept, record
        assert (record.reason, record.has_results) == (None, False), record
    return Past(record, entries, [*before.added, *([] for _ in later)], before.reason, before.fate)


def _without_data(entry: HistoryEntry) -> HistoryEntry:
    data = None if entry.data is None else DELETED
    return msgspec.structs.replace(entry, data=data, reason=None, error=None)
