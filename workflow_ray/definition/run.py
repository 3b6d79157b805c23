"""The run that steps, clients and tests get."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel

from workflow_ray.definition.arguments import checked_count, checked_text, checked_time
from workflow_ray.definition.status import Status
from workflow_ray.errors import InvalidInput, UnknownStatus, UnreadableData
from workflow_ray.records import RunId, RunState, new_run_id

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)
OfData = TypeVar("OfData", bound=BaseModel)
OfStatus = TypeVar("OfStatus", bound=Status)


class Run(Generic[D, S]):
    """One execution of a workflow.

    To test a step alone, `Run(Order(total=1), OrderStatus.CREATED)` is enough.

    The data and the status of a client's run are read at their first use. `data` and `status` raise
    an error if the code can't read what is stored; everything else can be read. `unreadable` tells
    why.
    """

    __slots__ = (
        "_attempt",
        "_created_at",
        "_data",
        "_foreign_id",
        "_read_data",
        "_read_status",
        "_reason",
        "_run_id",
        "_run_state",
        "_status",
        "_updated_at",
        "_version",
        "_visit",
    )

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

        Raises:
            InvalidInput: An argument is of another type or out of range.
        """
        _check_kind("data", data, BaseModel)
        _check_kind("status", status, Status)
        _check_kind("run_state", run_state, RunState)
        checked_text("foreign_id", foreign_id)
        checked_count("version", version)
        checked_count("visit", visit)
        if attempt != 0:
            checked_count("attempt", attempt)
        created_at = datetime.now(UTC) if created_at is None else created_at
        self._fill(
            data,
            status,
            run_id=new_run_id() if run_id is None else checked_text("run_id", run_id),
            foreign_id=foreign_id,
            run_state=run_state,
            version=version,
            visit=visit,
            attempt=attempt,
            reason=None if reason is None else checked_text("reason", reason),
            created_at=checked_time("created_at", created_at),
            updated_at=checked_time("updated_at", created_at if updated_at is None else updated_at),
        )

    def _fill(
        self,
        data: D,
        status: S,
        *,
        run_id: str,
        foreign_id: str,
        run_state: RunState,
        version: int,
        visit: int,
        attempt: int,
        reason: str | None,
        created_at: datetime,
        updated_at: datetime,
    ) -> None:
        self._data = data
        self._read_data: Callable[[], D] | None = None
        self._status = status
        self._read_status: Callable[[], S] | None = None
        self._run_id = run_id
        self._foreign_id = foreign_id
        self._run_state = run_state
        self._version = version
        self._visit = visit
        self._attempt = attempt
        self._reason = reason
        self._created_at = created_at
        self._updated_at = updated_at

    @staticmethod
    def unread(
        read_data: Callable[[], OfData], read_status: Callable[[], OfStatus], **fields: Any
    ) -> "Run[OfData, OfStatus]":
        """Make a run whose data and status are read at their first use, as a client's are.

        Args:
            read_data: Raises UnreadableData.
            read_status: Raises UnknownStatus.
            fields: All keyword arguments of Run.
        """
        run = cast(Run[OfData, OfStatus], Run.__new__(Run))
        run._fill(cast(OfData, None), cast(OfStatus, None), **fields)
        run._read_data = read_data
        run._read_status = read_status
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
        return RunId(self._run_id)

    @property
    def foreign_id(self) -> str:
        """The caller's key."""
        return self._foreign_id

    @property
    def run_state(self) -> RunState:
        return self._run_state

    @property
    def version(self) -> int:
        """From 1. Every write of the run raises it by one."""
        return self._version

    @property
    def visit(self) -> int:
        """The version at which the run entered its status."""
        return self._visit

    @property
    def attempt(self) -> int:
        """The number of attempts that have failed since the run entered its status, or since the
        step last returned, for example a Repeat.
        """
        return self._attempt

    @property
    def reason(self) -> str | None:
        """The reason of the last halt, or the error of the last failed attempt."""
        return self._reason

    @property
    def created_at(self) -> datetime:
        """UTC, by the store's clock."""
        return self._created_at

    @property
    def updated_at(self) -> datetime:
        """The time of the last write: UTC, by the store's clock."""
        return self._updated_at

    @property
    def idempotency_key(self) -> str:
        """A key for calls of other systems. All attempts of a visit have the same key, and the next
        visit has another one.
        """
        return f"{self._run_id}:{self._visit}"

    def __repr__(self) -> str:
        status = self._status if self._read_status is None else "unread"
        where = f"{status} {self._run_state.name} version={self._version}"
        # the data is left out because it may be personal
        return f"<Run {self._run_id} foreign_id={self._foreign_id!r} {where}>"


def _check_kind(what: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise InvalidInput(what, f"it must be a {kind.__name__}, not {type(value).__name__}")
