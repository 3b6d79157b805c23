"""Prints the versions of runs as they are written."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple, cast

import msgspec
from rich.text import Text

from workflow_ray.cli.output import visible
from workflow_ray.definition import Status, Workflow
from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    NO_VERSION,
    Cause,
    HistoryEntry,
    Record,
    RunId,
    RunQuery,
    RunState,
    Version,
)
from workflow_ray.records.encoded import readable

WINDOW = 500
"""Runs that one call to the store reads."""
KNOWN = 5_000
"""The most unfinished runs of a workflow whose further versions are printed, the newest ones, of
those that there are at the beginning.
"""
MARGIN = timedelta(seconds=5)
"""How much later than a run's id its first version may be committed."""
UNFINISHED = tuple(state for state in RunState if not state.finished)
STYLES = {
    RunState.PAUSED: "yellow",
    RunState.CANCELLED: "yellow",
    RunState.COMPLETED: "green",
}
ERRORS = (Cause.RETRY, Cause.FAILED, Cause.DOUBT)
USUAL = (Cause.TRIGGER, Cause.STEP)
"""Causes that a line does not name."""


class SeenRun(msgspec.Struct, kw_only=True):
    """A run, as it was printed last."""

    workflow: str
    foreign_id: str
    version: Version
    status: int
    at: datetime  # of the version
    is_finished: bool

    @classmethod
    def of(cls, record: Record) -> "SeenRun":
        return cls(
            workflow=record.workflow,
            foreign_id=record.foreign_id,
            version=record.version,
            status=record.status,
            at=record.updated_at,
            is_finished=record.run_state.finished,
        )


class Seen(msgspec.Struct, kw_only=True):
    """What was printed. Another process goes on from there."""

    runs: dict[RunId, SeenRun] = {}
    newest: datetime  # when the newest of the runs was made, by its id


class TransitionLines:
    """Finds new versions of runs, and makes a line of each.

    It asks the records, so it finds what any process writes.

    Args:
        workflows: Those whose runs are looked at.
        now: The runs that are made from now on are found from their first version.
    """

    def __init__(self, workflows: Iterable[Workflow[Any, Any]], now: datetime) -> None:
        self._statuses: Mapping[str, Mapping[int, str]] = {
            each.name: {status.value: status.name for status in cast(type[Status], each.statuses)}
            for each in workflows
        }
        self.seen = Seen(newest=now)

    async def begin(self, records: RecordStore) -> None:
        """Take note of the runs that there are. Their versions so far are not printed."""
        for workflow in self._statuses:
            recent = RunQuery(workflow=workflow, newest_first=True, limit=WINDOW)
            unfinished = msgspec.structs.replace(recent, run_states=UNFINISHED)
            await self._note(records, recent, WINDOW)
            await self._note(records, unfinished, KNOWN)

    async def look(self, records: RecordStore) -> list[Text]:
        """Return a line for each version since the last look, in the order of time.

        One that fails or is cancelled leaves all of its versions to the next look.
        """
        for workflow in self._statuses:
            query = RunQuery(workflow=workflow, after=_first_id(self.seen.newest - MARGIN))
            while page := await records.runs(query):
                for record in page:
                    self.seen.runs.setdefault(
                        record.run_id,
                        SeenRun(
                            workflow=workflow,
                            foreign_id=record.foreign_id,
                            version=NO_VERSION,
                            status=record.status,
                            at=record.created_at,
                            is_finished=False,
                        ),
                    )
                query = msgspec.structs.replace(query, after=page[-1].run_id)
        found = list[_Step]()
        for window in self._windows():
            for record in await records.watch(window, wait=0):
                found += await self._versions(records, record.run_id)
        for step in found:
            self.seen.runs[step.entry.run_id] = step.run
        self._forget()
        return [_line(step) for step in sorted(found, key=lambda step: step.entry.at)]

    async def _note(self, records: RecordStore, query: RunQuery, most: int) -> None:
        while most > 0 and (page := await records.runs(query)):
            for record in page:
                self.seen.runs[record.run_id] = SeenRun.of(record)
            most -= len(page)
            query = msgspec.structs.replace(query, after=page[-1].run_id)

    def _windows(self) -> Iterator[dict[RunId, Version]]:
        seen = iter(
            [(run_id, run.version) for run_id, run in self.seen.runs.items() if not run.is_finished]
        )
        while window := dict(islice(seen, WINDOW)):
            yield window

    async def _versions(self, records: RecordStore, run_id: RunId) -> "list[_Step]":
        """Read the versions of a run that were not printed."""
        found = list[_Step]()
        run = self.seen.runs[run_id]
        names = self._statuses[run.workflow]
        while page := await records.history(run_id, after=run.version, limit=WINDOW):
            for entry in page:
                before, run = (
                    run,
                    msgspec.structs.replace(
                        run,
                        version=entry.version,
                        status=entry.status,
                        at=entry.at,
                        is_finished=entry.run_state.finished,
                    ),
                )
                old, new = (names.get(each, str(each)) for each in (before.status, run.status))
                without_data = msgspec.structs.replace(entry, data=None)
                found.append(_Step(without_data, before, run, old, new))
        return found

    def _forget(self) -> None:
        """Forget finished runs, but those that the next look may find as new ones."""
        runs = self.seen.runs
        if runs:
            self.seen.newest = max(self.seen.newest, _made_at(max(runs)))
        first = _first_id(self.seen.newest - MARGIN)
        for run_id in [each for each, run in runs.items() if run.is_finished and each <= first]:
            del runs[run_id]


class _Step(NamedTuple):
    """A version, with the run before it and after it, and the names of the two statuses."""

    entry: HistoryEntry
    before: SeenRun
    run: SeenRun
    old: str
    new: str


def _line(step: _Step) -> Text:
    """Make a line: when, which run, from where to where, how long it was there, and why."""
    entry, before, _, old, new = step
    style = "red" if entry.cause in ERRORS else STYLES.get(entry.run_state, "")
    is_first = before.version == NO_VERSION
    moved = new if is_first or old == new else f"{old} -> {new}"
    parts = [
        (f"{entry.at.astimezone():%H:%M:%S.%f}"[:-3], "dim"),
        (f"{before.workflow} {visible(before.foreign_id)}", "bold"),
        (moved, style),
    ]
    if not is_first:
        parts.append((_duration(entry.at - before.at), "dim"))
    if entry.run_state in STYLES:
        parts.append((entry.run_state.name, style))
    if entry.cause not in USUAL:
        parts.append((entry.cause.name, style))
    if is_first:
        parts.append((f"run {entry.run_id}", "dim"))
    line = Text("  ").join(Text(*part) for part in parts)
    if entry.reason:
        line.append(f": {visible(' '.join(readable(entry.reason).split()))}", style)
    return line


def _duration(time: timedelta) -> str:
    seconds = time.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))


def _made_at(run_id: RunId) -> datetime:
    """Read the time in a UUIDv7: its first 48 bits are milliseconds since 1970."""
    return datetime.fromtimestamp(int(run_id.replace("-", "")[:12], 16) / 1000, UTC)


def _first_id(time: datetime) -> RunId:
    """Make the least UUIDv7 of a time."""
    digits = f"{int(time.timestamp() * 1000):012x}"
    return RunId(f"{digits[:8]}-{digits[8:]}-7000-8000-000000000000")
