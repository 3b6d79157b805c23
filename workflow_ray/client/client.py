"""The client of one workflow. It needs only the record store, neither roles nor Ray."""

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import replace
from typing import Any, Concatenate, Generic, Literal, TypeVar, overload

from pydantic import BaseModel

from workflow_ray.client.answers import Answers
from workflow_ray.client.attendance import Attendance
from workflow_ray.client.callbacks import Target, call
from workflow_ray.client.connection import Connection
from workflow_ray.client.flow_controls import FlowControls
from workflow_ray.client.handle import Handle
from workflow_ray.client.inputs import checked_iterable, checked_key
from workflow_ray.client.patience import BY, PATIENCE, patient
from workflow_ray.client.starting import Starting
from workflow_ray.client.triggers import (
    Trigger,
    TriggerOutcome,
    batches,
    key_of,
    numbered_write_of,
    write_of,
)
from workflow_ray.client.watcher import Watcher
from workflow_ray.client.within import Within
from workflow_ray.client.writer import DefaultKey, Writer
from workflow_ray.coding import check_patience, coded, coded_transactions
from workflow_ray.definition import Run, Status, Workflow
from workflow_ray.definition.arguments import checked_text, shown
from workflow_ray.definition.durations import Duration
from workflow_ray.errors import InvalidInput, KeyReused, RunActive
from workflow_ray.ports import Clock, RecordStore, Transactions
from workflow_ray.records import Fence, RunId, Write

GRACE = 1.0
"""Seconds that a wait which has timed out may take to read what its error says about the run."""

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)
M = TypeVar("M")


class Client(FlowControls[D, S], Generic[D, S]):
    """Triggers, calls back, reads and finds the runs of one workflow.

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
        fence: Fence | None = None,
        default_key: DefaultKey | None = None,
        transactions: Transactions | None = None,
    ) -> None:
        """Make a client.

        Args:
            workflow: The workflow of the runs.
            records: The store.
            clock: Measures the waits and the patience.
            patience: Seconds for which a call is repeated while the store does not answer.
            attendance: Tells whether a process runs the workflow.
            fence: Of the role that the client writes for. Its writes raise RoleLost once the role
                has a newer holder. None: it writes for nobody.
            default_key: Makes the idempotency keys of calls that name none.
            transactions: Writes in transactions of the application. None: `within` is refused.

        Raises:
            InvalidInput: The patience is more than 12 hours, and the workflow has codecs.
        """
        check_patience(workflow, patience)
        records = coded(records, workflow)
        if transactions is not None:
            transactions = coded_transactions(transactions, workflow)
        attendance = attendance or Attendance(workflow, records)
        repeated = patient(records, clock, patience)
        quiet = attendance.warn_if_nobody_runs_it
        by = BY if fence is None else fence.role
        super().__init__(
            Connection(
                workflow=workflow,
                records=repeated,
                impatient=patient(records, clock, min(patience, GRACE)),
                writer=Writer(repeated, by, fence, default_key, transactions),
                clock=clock,
                watcher=Watcher(repeated, clock, quiet),
                answers=Answers(repeated, clock, quiet),
                attendance=attendance,
            )
        )

    def with_default_keys(self, default_key: DefaultKey) -> "Client[D, S]":
        """Return a client that shares everything with this one but its default keys.

        Args:
            default_key: Makes the idempotency keys of calls that name none.
        """
        client = copy(self)
        writer = replace(self._connection.writer, default_key=default_key)
        client._connection = replace(self._connection, writer=writer)
        return client

    async def trigger(
        self,
        foreign_id: str,
        data: D,
        *,
        start_at: S | None = None,
        idempotency_key: str | None = None,
        if_active: Literal["raise", "join", "replace"] = "raise",
        delay: Duration = 0.0,
        labels: Mapping[str, str] | None = None,
        within: Within | None = None,
    ) -> Handle[D, S]:
        """Start a run. It is stored when this returns, or with `within` once that is committed.

        Args:
            foreign_id: The caller's key, 1 to 255 characters. At most one unfinished run has it.
            data: The run's data.
            start_at: The first status. None: the workflow's start.
            idempotency_key: 1 to 255 characters, unique per workflow, for good. A trigger that is
                repeated with it gets the first run, even when that is long finished. Each workflow
                has its own keys: the same key starts a run of each workflow. None: no key.
            if_active: What to do if the foreign id has an unfinished run: "raise" RunActive, "join"
                that run and return its handle, or "replace" it: it is cancelled, and the new run
                started, in one transaction. A repeat by the idempotency key replaces nothing.
            delay: How long the step of the first status waits, in seconds or as a timedelta. The
                timeouts of the status (`after`) count from then. With "replace" it is a debounce:
                the step runs once no trigger has come for so long.
            labels: Short texts by which runs are found, by name, such as {"tenant": "acme"}: up to
                32, names of 1 to 63 characters, values of up to 255. They are not for personal
                data. A run that exists keeps its own. None: no labels.
            within: An open session or connection of SQLAlchemy in the store's database. The run is
                written in its transaction: both are committed, or neither. A savepoint keeps the
                transaction as it was if the trigger is refused. None: a transaction of its own.

        Returns:
            The run's handle. Its `outcome` tells a new run (STARTED) from an earlier one: the key's
            first run (KNOWN), or the unfinished run that it joined (ACTIVE).

        Raises:
            InvalidInput: An argument can't be used. Nothing was written.
            RunActive: See `if_active`. With "replace": the unfinished run was started in the
                transaction of `within`, which is not committed yet.
            StoreBusy: Another transaction was in the way, and that of `within` does not see what it
                has committed. Roll back, and begin again.
            KeyReused: The idempotency key was used with another foreign id, `start_at` or data.
                Nothing was written. Data is compared as the model reads it, so the order in a set
                does not count. Neither does a field that was not given and whose default factory
                makes up a value, such as an id or a time. Keys that an earlier version of
                workflow_ray stored are not compared.
        """
        if if_active not in ("raise", "join", "replace"):
            why = f'it is "raise", "join" or "replace", not {shown(if_active)}'
            raise InvalidInput("if_active", why)
        write = write_of(
            self._workflow,
            Trigger(foreign_id, data, start_at, idempotency_key, delay, labels),
            self._connection.writer,
        )
        starting = Starting(self._connection)
        (started,) = await starting.start([write], {write.run_id: data}, within)
        if started.outcome is TriggerOutcome.ACTIVE and if_active == "replace":
            started = await starting.replace(write, data, started.run_id, within)
        run_id = started.run_id
        if started.outcome is TriggerOutcome.KEY_REUSED:
            raise KeyReused(self._workflow.name, key_of(write) or "", run_id, started.differing)
        if started.outcome is TriggerOutcome.ACTIVE and if_active == "raise":
            raise RunActive(self._workflow.name, foreign_id, run_id)
        return starting.handle(started)

    async def trigger_many(
        self, triggers: Iterable[Trigger[D, S]], *, within: Within | None = None
    ) -> list[tuple[Handle[D, S], TriggerOutcome]]:
        """Start many runs, in batches of 500. Each is one transaction, or a part of `within`.

        A trigger whose foreign id or key is in use starts nothing; the others do. So does one whose
        key was used for another trigger (KEY_REUSED).

        Args:
            triggers: The runs to start. All are checked before the first is written.
            within: As for `trigger`.

        Returns:
            For each trigger, in order, the handle of the run that it led to, and the outcome.

        Raises:
            InvalidInput: It names the trigger, or `within`. Nothing was written.
            StoreBusy: As for `trigger`. Earlier batches were written in the transaction.
        """
        writes: list[Write] = []
        with_key: dict[RunId, D] = {}
        for number, trigger in enumerate(checked_iterable("triggers", triggers)):
            write = numbered_write_of(self._workflow, number, trigger, self._connection.writer)
            writes.append(write)
            if key_of(write) is not None:
                with_key[write.run_id] = trigger.data
        starting = Starting(self._connection)
        started = [
            each
            for batch in batches(writes)
            for each in await starting.start(batch, with_key, within)
        ]
        return [(starting.handle(each), each.outcome) for each in started]

    def handle(self, run_id: str) -> Handle[D, S]:
        """Return a handle of the run with this id. Only its use shows whether the run exists."""
        return Handle(self._connection, RunId(checked_text("run_id", run_id)))

    @overload
    async def callback(
        self,
        function: Callable[Concatenate[Run[D, S], M, ...], Any],
        foreign_id: str,
        message: M,
        *,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Run[D, S]: ...
    @overload
    async def callback(
        self,
        function: str | Callable[Concatenate[Run[D, S], ...], Any],
        foreign_id: str,
        message: bytes,
        *,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Run[D, S]: ...
    async def callback(
        self,
        function: object,
        foreign_id: str,
        message: object,
        *,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Run[D, S]:
        """Send a message for a callback to the run of a foreign id, and wait for the answer.

        As `Handle.callback`, which says what happens to the message.

        Args:
            function: The callback, or its name.
            foreign_id: The caller's key: its unfinished run, or else its newest one.
            message: What the callback takes. Bytes are JSON, for callers without the type.
            timeout: Seconds, or a timedelta, for which the answer is waited for. None: no limit.
            idempotency_key: 1 to 255 characters, unique among the workflow's callbacks, for good.
                None: each call is a new one.

        Returns:
            The run as the callback has left it.

        Raises:
            RunNotFound: The foreign id never had a run.
            CallbackError: CallbackTooEarly, CallbackTooLate, RunFinished, CallbackExpired or
                CallbackFailed.
            InvalidMessage: The message does not fit. Nothing was written.
            WaitTimeout: The time is over. The message stays.
            KeyReused: The key was used for another run, callback or message.
            InvalidInput: Another argument can't be used. Nothing was written.
        """
        return await call(
            self._connection,
            Target(foreign_id=checked_key("foreign_id", foreign_id)),
            function,
            message,
            timeout=timeout,
            idempotency_key=idempotency_key,
        )

    async def _start_ticks(self, writes: list[Write]) -> list[tuple[Handle[D, S], TriggerOutcome]]:
        starting = Starting(self._connection)
        return [(starting.handle(each), each.outcome) for each in await starting.start(writes, {})]
