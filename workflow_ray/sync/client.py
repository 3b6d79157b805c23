"""`Client`, whose calls block. `make sync` writes this from client/client.py."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Concatenate, Generic, Literal, TypeVar, overload

from pydantic import BaseModel

from workflow_ray.client import client as asynchronous
from workflow_ray.client.triggers import Trigger, TriggerOutcome
from workflow_ray.client.within import Within
from workflow_ray.client.writer import DefaultKey
from workflow_ray.definition import Run, Status
from workflow_ray.definition.durations import Duration
from workflow_ray.sync.blocking_calls import BlockingCalls
from workflow_ray.sync.flow_controls import FlowControls
from workflow_ray.sync.handle import Handle

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)
M = TypeVar("M")


class Client(FlowControls[D, S], Generic[D, S]):
    """Triggers, calls back, reads and finds the runs of one workflow. As `workflow_ray.Client`, but
    each call blocks.

    Threads may share a client. KeyboardInterrupt ends a call or a wait; it is not known then
    whether the call took effect. A call is repeated, with the same ids, while the store does not
    answer. After `patience` seconds it raises StoreUnavailable.
    """

    def __init__(self, calls: BlockingCalls, original: asynchronous.Client[D, S]) -> None:
        super().__init__(calls, original)
        self._client = original

    def with_default_keys(self, default_key: DefaultKey) -> "Client[D, S]":
        """Return a client that shares everything with this one but its default keys.

        Args:
            default_key: Makes the idempotency keys of calls that name none.
        """
        return Client(self._calls, self._client.with_default_keys(default_key))

    def trigger(
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
        return Handle(
            self._calls,
            self._calls.result(
                self._client.trigger(
                    foreign_id,
                    data,
                    start_at=start_at,
                    idempotency_key=idempotency_key,
                    if_active=if_active,
                    delay=delay,
                    labels=labels,
                    within=self._session_of(within),
                )
            ),
        )

    def trigger_many(
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
        return [
            (Handle(self._calls, each[0]), each[1])
            for each in self._calls.result(
                self._client.trigger_many(triggers, within=self._session_of(within))
            )
        ]

    def handle(self, run_id: str) -> Handle[D, S]:
        """Return a handle of the run with this id. Only its use shows whether the run exists."""
        return Handle(self._calls, self._client.handle(run_id))

    @overload
    def callback(
        self,
        function: Callable[Concatenate[Run[D, S], M, ...], Any],
        foreign_id: str,
        message: M,
        *,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Run[D, S]: ...
    @overload
    def callback(
        self,
        function: str | Callable[Concatenate[Run[D, S], ...], Any],
        foreign_id: str,
        message: bytes,
        *,
        timeout: Duration | None = None,
        idempotency_key: str | None = None,
    ) -> Run[D, S]: ...
    def callback(
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
        original: Any = self._client.callback  # its overloads are those above
        return self._calls.result(
            original(
                function, foreign_id, message, timeout=timeout, idempotency_key=idempotency_key
            )
        )
