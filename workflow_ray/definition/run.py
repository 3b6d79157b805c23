"""The run that steps, clients and tests get."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Generic, TypeVar, cast

from pydantic import BaseModel

from workflow_ray.definition.arguments import checked_count, checked_text, checked_time
from workflow_ray.definition.effects import READ_ONLY, Effects, Unbound
from workflow_ray.definition.labels import Labels, checked_labels
from workflow_ray.definition.run_effects import OfData, OfStatus, RunEffects
from workflow_ray.definition.status import Status
from workflow_ray.errors import InvalidInput, UnknownStatus, UnreadableData
from workflow_ray.records import Cause, Record, RunId, RunState, Version, new_run_id

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class Run(RunEffects, Generic[D, S]):
    """One execution of a workflow.

    To test a step alone, `Run(Order(total=1), OrderStatus.CREATED)` is enough.

    The data and the status of a client's run are read at their first use. `data` and `status` raise
    an error if the code can't read what is stored; everything else can be read. `unreadable` tells
    why.
    """

    __slots__ = ("_data", "_read_data", "_read_status", "_record", "_status")

    def __init__(
        self,
        data: D,
        status: S,
        *,
        run_id: str | None = None,
        foreign_id: str = "",
        run_state: RunState = RunState.RUNNING,
        version: int = 1,
        visit: int = 1,
        attempt: int = 0,
        reason: str | None = None,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Make a run, for a test.

        Args:
            data: The run's data.
            status: Where it stands.
            run_id: A new one by default.
            foreign_id: The caller's key.
            run_state: See RunState.
            version: From 1.
            visit: The version at which the run entered its status, from 1.
            attempt: The number of failed attempts, from 0.
            reason: The reason of a halt, or the error of the last failed attempt.
            created_at: With a timezone; now by default.
            updated_at: With a timezone; `created_at` by default.
            labels: The run's labels; none by default.

        Raises:
            InvalidInput: An argument is of another type or out of range.
        """
        _check_kind("data", data, BaseModel)
        _check_kind("status", status, Status)
        _check_kind("run_state", run_state, RunState)
        checked_text("foreign_id", foreign_id)
        checked_count("version", version)
        checked_count("visit", visit)
        checked_count("attempt", attempt, least=0)
        created_at = datetime.now(UTC) if created_at is None else created_at
        record = Record(
            run_id=new_run_id() if run_id is None else RunId(checked_text("run_id", run_id)),
            workflow="",
            foreign_id=foreign_id,
            status=status.value,
            run_state=run_state,
            version=Version(version),
            visit=Version(visit),
            attempt=attempt,
            cause=Cause.TRIGGER,
            reason=None if reason is None else checked_text("reason", reason),
            partition=0,
            data=b"",
            labels={} if labels is None else checked_labels("labels", labels),
            created_at=checked_time("created_at", created_at),
            updated_at=checked_time("updated_at", created_at if updated_at is None else updated_at),
        )
        self._fill(record, data, status, Unbound())

    def _fill(
        self,
        record: Record,
        data: D,
        status: S,
        effects: Effects,
        read_data: Callable[[], D] | None = None,
        read_status: Callable[[], S] | None = None,
    ) -> None:
        self._record = record
        self._data = data
        self._status = status
        self._effects = effects
        self._read_data = read_data
        self._read_status = read_status

    @staticmethod
    def stored(
        record: Record, data: OfData, status: OfStatus, effects: Effects = READ_ONLY
    ) -> "Run[OfData, OfStatus]":
        """Make the run of a record.

        Args:
            record: The record.
            data: What its data reads as.
            status: What its status number reads as.
            effects: Carries out what a function asks of the run. By default that is refused.
        """
        run = cast("Run[OfData, OfStatus]", Run.__new__(Run))
        run._fill(record, data, status, effects)
        return run

    @staticmethod
    def unread(
        record: Record, read_data: Callable[[], OfData], read_status: Callable[[], OfStatus]
    ) -> "Run[OfData, OfStatus]":
        """Make the run of a record, whose data and status are read at their first use.

        Args:
            record: The record.
            read_data: Raises UnreadableData.
            read_status: Raises UnknownStatus.
        """
        run = cast("Run[OfData, OfStatus]", Run.__new__(Run))
        run._fill(
            record, cast(OfData, None), cast(OfStatus, None), READ_ONLY, read_data, read_status
        )
        return run

    @property
    def data(self) -> D:
        """The run's data. A step changes it in place, or assigns other data.

        It is saved when the step returns, whatever the step returns. When the step raises, the
        changes are dropped.

        Raises:
            UnreadableData: The stored data doesn't fit the model (a client's run only).
        """
        if self._read_data is not None:
            self._data, self._read_data = self._read_data(), None
        return self._data

    @data.setter
    def data(self, data: D) -> None:
        self._data, self._read_data = data, None

    @property
    def status(self) -> S:
        """Where the run stands. Raises UnknownStatus if the code has no status of that number."""
        if self._read_status is not None:
            self._status, self._read_status = self._read_status(), None
        return self._status

    @property
    def unreadable(self) -> str | None:
        """Why this code can't read the run's status or data. None if it can."""
        try:
            _ = self.status, self.data
        except (UnknownStatus, UnreadableData) as error:
            return str(error)
        return None

    @property
    def run_id(self) -> RunId:
        return self._record.run_id

    @property
    def foreign_id(self) -> str:
        """The caller's key."""
        return self._record.foreign_id

    @property
    def run_state(self) -> RunState:
        return self._record.run_state

    @property
    def version(self) -> int:
        """From 1. Every write of the run raises it by one."""
        return self._record.version

    @property
    def visit(self) -> int:
        """The version at which the run entered its status."""
        return self._record.visit

    @property
    def attempt(self) -> int:
        """The number of attempts that have failed since the run entered its status, or since the
        step last returned, for example a Repeat.
        """
        return self._record.attempt

    @property
    def reason(self) -> str | None:
        """The reason of the last halt, or the error of the last failed attempt."""
        return self._record.reason

    @property
    def labels(self) -> Labels:
        """Short texts by which runs are found, by name, such as a tenant. Not for personal data.

        A function changes them in place: `run.labels["stage"] = "packed"`, or `del`. The change is
        committed with the transition that the function returns, and is dropped when it raises. The
        labels of a client's run can't be changed.
        """
        return self._effects.labels(self._record.labels)

    @property
    def created_at(self) -> datetime:
        """UTC, by the store's clock."""
        return self._record.created_at

    @property
    def updated_at(self) -> datetime:
        """The time of the last write: UTC, by the store's clock."""
        return self._record.updated_at

    @property
    def idempotency_key(self) -> str:
        """A key for calls of other systems. All attempts of a visit have the same key, and the next
        visit has another one.
        """
        return f"{self.run_id}:{self.visit}"

    def __repr__(self) -> str:
        status = self._status if self._read_status is None else "unread"
        where = f"{status} {self.run_state.name} version={self.version}"
        # the data is left out because it may be personal
        return f"<Run {self.run_id} foreign_id={self.foreign_id!r} {where}>"


def _check_kind(what: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise InvalidInput(what, f"it must be a {kind.__name__}, not {type(value).__name__}")
