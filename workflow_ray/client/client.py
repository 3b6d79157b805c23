"""The client of one workflow. It needs only the record store, neither roles nor Ray."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from datetime import datetime
from typing import Generic, Literal, NamedTuple, TypeVar

import msgspec
from pydantic import BaseModel

from workflow_ray.client.attendance import Attendance
from workflow_ray.client.handle import Handle
from workflow_ray.client.inputs import (
    checked_iterable,
    checked_run_state,
    checked_several,
    checked_status,
)
from workflow_ray.client.keys import find_reused
from workflow_ray.client.patience import BY, PATIENCE, patient
from workflow_ray.client.triggers import Trigger, TriggerOutcome, batches, outcome_of, write_of
from workflow_ray.client.watcher import Watcher
from workflow_ray.definition import Run, Status, Workflow
from workflow_ray.definition.arguments import (
    checked_count,
    checked_flag,
    checked_text,
    checked_time,
    shown,
)
from workflow_ray.engine.runs import view_of
from workflow_ray.errors import InvalidInput, KeyReused, RunActive, RunNotFound
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import (
    Committed,
    RunId,
    RunQuery,
    RunState,
    Version,
    Write,
    WriteGroup,
    WriteResult,
)

GRACE = 1.0
"""Seconds that a wait which has timed out may take to read what its error says about the run."""

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class Client(Generic[D, S]):
    """Triggers, reads and finds the runs of one workflow.

    The tasks of one event loop may share a client. A call is repeated, with the same ids, while the
    store does not answer. After `patience` seconds it raises StoreUnavailable.
    """

    def __init__(
        self,
        workflow: Workflow[D, S],
        records: RecordStore,
        clock: Clock,
        *,
        patience: float = PATIENCE,
        attendance: Attendance | None = None,
    ) -> None:
        self._workflow = workflow
        self._records = patient(records, clock, patience)
        self._impatient = patient(records, clock, min(patience, GRACE))
        self._clock = clock
        self._attendance = attendance or Attendance(workflow, records)
        self._watcher = Watcher(self._records, clock, self._attendance.warn_if_nobody_runs_it)

    async def trigger(
        self,
        foreign_id: str,
        data: D,
        *,
        start_at: S | None = None,
        idempotency_key: str | None = None,
        if_active: Literal["raise", "join"] = "raise",
    ) -> Handle[D, S]:
        """Start a run. It is stored when this returns.

        Args:
            foreign_id: The caller's key, 1 to 255 characters. At most one unfinished run has it.
            data: The run's data.
            start_at: The first status. None: the workflow's start.
            idempotency_key: 1 to 255 characters, unique per workflow, for good. A trigger that is
                repeated with it gets the first run, even when that is long finished. Each workflow
                has its own keys: the same key starts a run of each workflow. None: no key.
            if_active: What to do if the foreign id has an unfinished run: "raise" RunActive, or
                "join" that run and return its handle.

        Returns:
            The run's handle. Its `outcome` tells a new run (STARTED) from an earlier one: the key's
            first run (KNOWN), or the unfinished run that it joined (ACTIVE).

        Raises:
            InvalidInput: An argument can't be used. Nothing was written.
            RunActive: See `if_active`.
            KeyReused: The idempotency key was used with another foreign id, `start_at` or data.
                Nothing was written. Data is compared as the model reads it, so the order in a set
                does not count. Neither does a field that was not given and whose default factory
                makes up a value, such as an id or a time. Keys that an earlier version of
                workflow_ray stored are not compared.
        """
        if if_active not in ("raise", "join"):
            raise InvalidInput("if_active", f'it is "raise" or "join", not {shown(if_active)}')
        write = write_of(self._workflow, Trigger(foreign_id, data, start_at, idempotency_key), BY)
        (started,) = await self._start([write], {write.run_id: data})
        run_id = started.handle.run_id
        if started.outcome is TriggerOutcome.KEY_REUSED:
            raise KeyReused(self._workflow.name, idempotency_key or "", run_id, started.differing)
        if started.outcome is TriggerOutcome.ACTIVE and if_active == "raise":
            raise RunActive(self._workflow.name, foreign_id, run_id)
        return started.handle

    async def trigger_many(
        self, triggers: Iterable[Trigger[D, S]]
    ) -> list[tuple[Handle[D, S], TriggerOutcome]]:
        """Start many runs, in batches of 500. Each batch is one transaction.

        A trigger whose foreign id or key is in use starts nothing; the others do. So does one whose
        key was used for another trigger (KEY_REUSED).

        Args:
            triggers: The runs to start. All are checked before the first is written.

        Returns:
            For each trigger, in order, the handle of the run that it led to, and the outcome.

        Raises:
            InvalidInput: It names the trigger. Nothing was written.
        """
        writes: list[Write] = []
        with_key: dict[RunId, D] = {}
        for number, trigger in enumerate(checked_iterable("triggers", triggers)):
            write = self._checked(number, trigger)
            writes.append(write)
            if trigger.idempotency_key is not None:
                with_key[write.run_id] = trigger.data
        started = [each for batch in batches(writes) for each in await self._start(batch, with_key)]
        return [(each.handle, each.outcome) for each in started]

    def handle(self, run_id: str) -> Handle[D, S]:
        """Return a handle of the run with this id. Only its use shows whether the run exists."""
        return self._handle(checked_text("run_id", run_id))

    def _handle(
        self,
        run_id: str,
        started: Version | None = None,
        outcome: TriggerOutcome | None = None,
    ) -> Handle[D, S]:
        return Handle(
            self._workflow,
            self._records,
            self._impatient,
            self._clock,
            self._watcher,
            self._attendance,
            RunId(run_id),
            started,
            outcome,
        )

    async def get(self, run_id: str) -> Run[D, S]:
        """Return the run as it stands now. Raises RunNotFound."""
        return await self.handle(run_id).get()

    async def latest(self, foreign_id: str) -> Run[D, S]:
        """Return the newest run of a foreign id, finished or not. Raises RunNotFound."""
        checked_text("foreign_id", foreign_id)
        (record,) = await self._records.latest(self._workflow.name, [foreign_id])
        if record is None:
            raise RunNotFound(self._workflow.name, foreign_id)
        return view_of(self._workflow, record)

    async def runs(
        self,
        *,
        status: S | Collection[S] | None = None,
        run_state: RunState | Collection[RunState] | None = None,
        foreign_id: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        newest_first: bool = False,
        page_size: int = 500,
    ) -> AsyncIterator[Run[D, S]]:
        """List the runs that pass all given filters, by age. They are read page by page.

        A run that existed when the iteration began is listed exactly once if it passes the filters
        during the whole iteration.

        Args:
            status: One status, or several: any of them.
            run_state: One run state, or several: any of them.
            foreign_id: The caller's key.
            created_from: The earliest creation time, with a timezone.
            created_before: The end of the creation times, itself excluded, with a timezone.
            newest_first: Default: the oldest first.
            page_size: The number of runs that are read at once, from 1. Fewer are read if their
                data is large.

        Raises:
            InvalidInput: Raised when the first run is asked for.
        """
        query = RunQuery(
            workflow=self._workflow.name,
            statuses=tuple(s.value for s in checked_several("status", status, self._status)),
            run_states=checked_several("run_state", run_state, checked_run_state),
            foreign_id=None if foreign_id is None else checked_text("foreign_id", foreign_id),
            created_from=_time("created_from", created_from),
            created_before=_time("created_before", created_before),
            newest_first=checked_flag("newest_first", newest_first),
            limit=checked_count("page_size", page_size),
        )
        while page := await self._records.runs(query):
            for record in page:
                yield view_of(self._workflow, record)
            query = msgspec.structs.replace(query, after=page[-1].run_id)

    async def counts(self) -> dict[tuple[S | int, RunState], int]:
        """Count the runs at each status in each run state, in one snapshot.

        Combinations without runs are left out. A status that the code no longer has is listed by
        its number.
        """
        counted = await self._records.counts(self._workflow.name)
        return {
            (self._status_or_number(count.status), count.run_state): count.runs for count in counted
        }

    def _status(self, what: str, status: object) -> S:
        return checked_status(what, self._workflow, status)

    def _status_or_number(self, number: int) -> S | int:
        try:
            return self._workflow.status_of(number)
        except KeyError:
            return number

    def _checked(self, number: int, trigger: Trigger[D, S]) -> Write:
        if not isinstance(trigger, Trigger):  # pyright: ignore[reportUnnecessaryIsInstance]  # of a caller without types
            raise InvalidInput(
                f"triggers[{number}]", f"it must be a Trigger, not {type(trigger).__name__}"
            )
        try:
            return write_of(self._workflow, trigger, BY)
        except InvalidInput as error:
            raise InvalidInput(f"triggers[{number}]: {error.what}", error.why) from None

    async def _start(self, writes: list[Write], data: Mapping[RunId, D]) -> "list[_Started[D, S]]":
        group = WriteGroup(writes=tuple(writes))
        (answer,) = await self._records.store([group])
        if not isinstance(answer, Committed):
            raise AssertionError("a group without a fence can't be fenced off")
        reused = await find_reused(self._workflow, self._records, data, writes, answer.results)
        return [
            self._started(write, result, reused.get(write.run_id, ()))
            for write, result in zip(writes, answer.results, strict=True)
        ]

    def _started(
        self, write: Write, result: WriteResult, differing: tuple[str, ...]
    ) -> "_Started[D, S]":
        run_id, outcome = outcome_of(result, is_reused=bool(differing))
        handle = self._handle(run_id, _under_way(write, outcome), outcome)
        return _Started(handle, outcome, differing)


class _Started(NamedTuple, Generic[D, S]):
    handle: Handle[D, S]
    outcome: TriggerOutcome
    differing: tuple[str, ...]  # from what the key was first used for


def _under_way(write: Write, outcome: TriggerOutcome) -> Version | None:
    """Return the version of a run that was started now. None if it is not new, or ended at once."""
    return (
        write.version if outcome is TriggerOutcome.STARTED and not write.run_state.at_rest else None
    )


def _time(what: str, time: datetime | None) -> datetime | None:
    return None if time is None else checked_time(what, time)
