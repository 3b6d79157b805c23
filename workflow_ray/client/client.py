"""What a program does with a workflow's runs: no roles, no Ray, only the records."""

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
"""Seconds that a wait which times out keeps asking for what to tell of the run."""

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class Client(Generic[D, S]):
    """One workflow's runs. Safe to share by the tasks of one event loop.

    Calls repeat themselves, with the same ids, while the store doesn't answer; after `patience`
    seconds they raise StoreUnavailable.
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
        self._hasty = patient(records, clock, min(patience, GRACE))
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
        """Start a run; it is stored when this returns.

        Args:
            foreign_id: The caller's key, 1 to 255 characters; at most one unfinished run has it.
            data: The run's data.
            start_at: The first status; default: the workflow's start.
            idempotency_key: 1 to 255 characters, unique per workflow, for good. A trigger that is
                repeated with it gets the first run, even when that is long finished. Each workflow
                has keys of its own: the same key starts a run of each.
            if_active: What to do where the foreign id has an unfinished run: raise RunActive, or
                join: return that run.

        Returns:
            The run's handle. Its `outcome` tells a new run (STARTED) from one that was there: the
            key's first run (KNOWN), or the one that it joined (ACTIVE).

        Raises:
            InvalidInput: Nothing was written.
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
        """Start many runs, in batches of 500: one answer each, in order.

        A foreign id or key in use leaves that one out, also a key that was used for another trigger
        (KEY_REUSED). Each batch commits whole. All triggers are checked before the first is
        written.
        Raises InvalidInput, naming the trigger: nothing was written.
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
        """The run with this id; whether there is one shows when it is used."""
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
            self._hasty,
            self._clock,
            self._watcher,
            self._attendance,
            RunId(run_id),
            started,
            outcome,
        )

    async def get(self, run_id: str) -> Run[D, S]:
        """The run as it stands. Raises RunNotFound."""
        return await self.handle(run_id).get()

    async def latest(self, foreign_id: str) -> Run[D, S]:
        """The newest run of a foreign id, finished or not. Raises RunNotFound."""
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
        """The runs that all given filters let through, by age, read page by page.

        A run that existed when the iteration began comes exactly once if it passes the filters all
        along.

        Args:
            status: One, or any of several.
            run_state: One, or any of several.
            foreign_id: The caller's key.
            created_from: Inclusive; with a timezone.
            created_before: Exclusive; with a timezone.
            newest_first: Default: the oldest first.
            page_size: Runs read at once, from 1; fewer where their data is large.

        Raises:
            InvalidInput: When it is first asked for a run.
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
        """How many runs stand at each status in each run_state, in one snapshot, without zeros. A
        status that the code no longer has is there by its number.
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
    """The version of a run that has just begun; None if it isn't new, or ended at once."""
    return (
        write.version if outcome is TriggerOutcome.STARTED and not write.run_state.at_rest else None
    )


def _time(what: str, time: datetime | None) -> datetime | None:
    return None if time is None else checked_time(what, time)
