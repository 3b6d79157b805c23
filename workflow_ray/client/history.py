"""The typed entries of a run's history."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Generic, TypeVar, cast

from pydantic import BaseModel

from workflow_ray.definition import Status, Workflow
from workflow_ray.engine.past import failed_message
from workflow_ray.engine.runs import decoded, status_name, status_of
from workflow_ray.errors import UnknownStatus, UnreadableData
from workflow_ray.records import Cause, ErrorDetail, HistoryEntry, Message, RunState

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class Entry(Generic[D, S]):
    """One version of a run. Its data and status are decoded when they are read.

    Or a callback that has failed for good, which makes no version: then `callback` names it.
    """

    def __init__(
        self, workflow: Workflow[D, S], stored: HistoryEntry, callback: str | None = None
    ) -> None:
        self._workflow = workflow
        self._stored = stored
        self.callback = callback
        """The callback that has failed for good, while the run was at this version. None: the entry
        is a version.
        """

    @property
    def version(self) -> int:
        """From 1, without gaps. A callback that has failed has that of the entry before it."""
        return self._stored.version

    @cached_property
    def status(self) -> S:
        """The run's status. Raises UnknownStatus: the code has no status of the stored number."""
        return status_of(self._workflow, self._stored.run_id, self._stored.status)

    @property
    def run_state(self) -> RunState:
        return self._stored.run_state

    @property
    def cause(self) -> Cause:
        return self._stored.cause

    @property
    def by(self) -> str:
        """The role that wrote it, or who asked for it. "client" if the caller gave no name."""
        return self._stored.by

    @property
    def reason(self) -> str | None:
        """The error, or the reason that was given to a halt or a control."""
        return self._stored.reason

    @property
    def error(self) -> ErrorDetail | None:
        """The error of a failed attempt: its type, its text, and its trace. None: the version is
        not that of a failed attempt, or an earlier release of workflow_ray wrote it.
        """
        return self._stored.error

    @property
    def at(self) -> datetime:
        """When it was written: UTC, by the store's clock."""
        return self._stored.at

    @cached_property
    def data(self) -> D | None:
        """The run's data. None: it is the data of the previous version. If retention has removed
        that, `Handle.history` shows the data, and `Handle.follow` does not.

        Raises UnreadableData: it does not fit the model, or, as NewerData, newer code wrote it.
        """
        stored = self._stored
        if stored.data is None:
            return None
        return decoded(self._workflow, stored.run_id, stored.data, stored.data_version)

    @property
    def unreadable(self) -> str | None:
        """Why this code can't read the entry's status or data. None: it can."""
        try:
            _ = self.status, self.data
        except (UnknownStatus, UnreadableData) as error:
            return str(error)
        return None

    def __eq__(self, other: object) -> bool:
        """Whether both are the same version of the same run, with the same content."""
        return isinstance(other, Entry) and self._stored == cast("Entry[D, S]", other)._stored

    def __hash__(self) -> int:
        return hash((self._stored.run_id, self._stored.version))

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        status = status_name(self._workflow, self._stored.status)
        return f"{self.version} {status} {self.run_state.name} {self.cause.name} by {self.by}{why}"

    def __repr__(self) -> str:
        return f"<Entry {self}>"  # without the data: it may be personal


def with_failed(
    workflow: Workflow[D, S], entries: Iterable[HistoryEntry], failed: Sequence[Message]
) -> Iterator[Entry[D, S]]:
    """Yield versions, and after each the callbacks that have failed at it, by time.

    Args:
        workflow: The run's workflow.
        entries: The versions, ascending.
        failed: Messages that have failed for good. Those at other versions are left out.
    """
    by_version: dict[int, list[Message]] = {}
    for message in sorted(failed, key=lambda each: each.settled_at or each.posted_at):
        by_version.setdefault(message.version or 0, []).append(message)
    for entry in entries:
        yield Entry(workflow, entry)
        for message in by_version.get(entry.version, ()):
            yield Entry(workflow, failed_message(message, entry), message.name)
