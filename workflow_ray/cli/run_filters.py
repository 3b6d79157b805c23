"""Selects runs by the filters of the command line."""

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from heapq import merge
from typing import Annotated

import typer
from msgspec.structs import replace

from workflow_ray.cli.run_references import choose_workflows
from workflow_ray.cli.views import Names
from workflow_ray.client.controls import look_up
from workflow_ray.client.inputs import checked_key
from workflow_ray.definition.durations import seconds_of
from workflow_ray.definition.labels import checked_labels
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import RecordStore
from workflow_ray.records import Cause, Record, RunQuery, RunState, WaitingQuery

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
STUCK_AFTER = timedelta(minutes=5)
PAGE = 500
"""Runs that one call to the store reads."""


@dataclass(frozen=True, kw_only=True)
class StoredFilters:
    """Options that choose runs by what a store filters itself."""

    statuses: Annotated[
        list[str] | None,
        typer.Option("--status", help="Only runs at this status; may be repeated."),
    ] = None
    states: Annotated[
        list[str] | None,
        typer.Option("--state", help="Only runs in this run_state, e.g. PAUSED; may be repeated."),
    ] = None
    foreign_id: Annotated[
        str | None, typer.Option("--foreign-id", help="Only runs with this foreign id.")
    ] = None
    failed: Annotated[
        bool, typer.Option("--failed", help="Only runs that an error has paused.")
    ] = False
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label",
            metavar="NAME=VALUE",
            help="Only runs that have this label with this value; may be repeated: all of them.",
        ),
    ] = None
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="TIME",
            help="Only runs whose last version is older than this: 30s, 5m, 2h, 7d.",
        ),
    ] = None

    def is_empty(self) -> bool:
        """Whether no filter was given."""
        # an empty text is a filter, which is refused later: a shell's variable may have been unset
        return all(getattr(self, field.name) in (None, False) for field in fields(self))


@dataclass(frozen=True, kw_only=True)
class Filters(StoredFilters):
    """Options that choose runs."""

    stuck: Annotated[
        bool,
        typer.Option(
            "--stuck",
            help="Only runs whose next step should have begun and has not, for 5 minutes or for"
            " --older-than.",
        ),
    ] = False


class Selection:
    """Selects the runs of a store that pass the filters.

    Args:
        store: The store.
        names: The names of what is deployed there.
        filters: The filters.
        workflow: Only runs of this one; None: of all.

    Raises:
        InvalidInput: A filter can't be used.
        UnknownWorkflow: The workflow is not deployed.
    """

    def __init__(
        self, store: RecordStore, names: Names, filters: StoredFilters, workflow: str | None
    ) -> None:
        self._store = store
        self._names = names
        self._filters = filters
        self._is_stuck = isinstance(filters, Filters) and filters.stuck
        self._age = (
            None if filters.older_than is None else _duration("--older-than", filters.older_than)
        )
        known = {
            name: names.statuses[name] for name in choose_workflows(list(names.statuses), workflow)
        }
        _check_statuses(known, filters.statuses or ())
        if filters.foreign_id is not None:
            checked_key("--foreign-id", filters.foreign_id)
        asked = set(filters.statuses or ())
        self.queries = [
            self._query(name)
            for name, statuses in known.items()
            if not asked or asked & statuses.keys()
        ]

    async def newest(self, limit: int) -> list[Record]:
        """Return the newest runs, the newest first."""
        if self._is_stuck:
            stuck = [record async for record in self._stuck()]
            return sorted(stuck, key=lambda record: record.run_id, reverse=True)[:limit]
        found = [
            await self._first(replace(query, newest_first=True), limit) for query in self.queries
        ]
        return list(merge(*found, key=lambda record: record.run_id, reverse=True))[:limit]

    async def pages(self) -> AsyncIterator[list[Record]]:
        """Yield all runs, the oldest of each workflow first."""
        if self._is_stuck:
            yield [record async for record in self._stuck()]
            return
        for query in self.queries:
            while page := await self._store.runs(query):
                yield page
                query = replace(query, after=page[-1].run_id)

    async def _first(self, query: RunQuery, limit: int) -> list[Record]:
        found: list[Record] = []
        while len(found) < limit and (
            page := await self._store.runs(replace(query, limit=limit - len(found)))
        ):
            found += page
            query = replace(query, after=page[-1].run_id)
        return found

    async def _stuck(self) -> AsyncIterator[Record]:
        quiet = (self._age or STUCK_AFTER).total_seconds()
        for query in self.queries:
            for partition in range(self._names.partitions[query.workflow]):
                look = WaitingQuery(workflow=query.workflow, partition=partition, quiet=quiet)
                while True:
                    found = await self._store.waiting(look)
                    for record in await look_up(
                        self._store, [event.run_id for event in found.events]
                    ):
                        if replace(query, updated_before=None).admits(record):
                            yield record
                    if found.after is None:
                        break
                    look = replace(look, after=found.after)

    def _query(self, workflow: str) -> RunQuery:
        filters = self._filters
        known = self._names.statuses[workflow]
        return RunQuery(
            workflow=workflow,
            statuses=tuple(known[status] for status in filters.statuses or () if status in known),
            run_states=(
                (RunState.PAUSED,)
                if filters.failed
                else tuple(_run_state(name) for name in filters.states or ())
            ),
            causes=(Cause.FAILED,) if filters.failed else (),
            foreign_id=filters.foreign_id,
            labels=labels_of(filters.labels or ()),
            updated_before=None if self._age is None else datetime.now(UTC) - self._age,
            limit=PAGE,
        )


def labels_of(texts: Sequence[str]) -> dict[str, str]:
    """Read labels of the form NAME=VALUE. Raises InvalidInput."""
    labels: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign:
            raise InvalidInput("--label", f"write NAME=VALUE, e.g. tenant=acme, not {text!r}")
        if labels.setdefault(name, value) != value:
            raise InvalidInput("--label", f"{name} is given twice; a label has one value")
    return checked_labels("--label", labels)


def _check_statuses(known: Mapping[str, Collection[str]], asked: Sequence[str]) -> None:
    """Check that each status belongs to a workflow. Raises InvalidInput."""
    names = list(dict.fromkeys(name for statuses in known.values() for name in statuses))
    for status in asked:
        if status not in names:
            raise InvalidInput(
                "--status",
                f"{' and '.join(known)} has no status {status!r}; it has {', '.join(names)}",
            )


def _run_state(name: str) -> RunState:
    try:
        return RunState[name.upper()]
    except KeyError:
        raise InvalidInput(
            "--state",
            f"{name!r} is not a run state; choose from {', '.join(RunState.__members__)}",
        ) from None


def _duration(option: str, text: str) -> timedelta:
    matched = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not matched:
        raise InvalidInput(
            option, f"{text!r} is not a time: write a number and s, m, h or d, e.g. 30s or 2h"
        )
    return timedelta(seconds=seconds_of(option, float(matched[1]) * UNITS[matched[2]]))
