"""A run as steps, clients and tests see it."""

from datetime import UTC, datetime
from typing import Generic, TypeVar

from pydantic import BaseModel

from workflow_ray.definition.status import Status
from workflow_ray.records import RunId, RunState, new_run_id

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class Run(Generic[D, S]):
    """One execution of a workflow. `Run(Order(total=1), OrderStatus.CREATED)` is enough to try a step alone.

    data: what a step changes, in place or by assigning it. Saved with the value that the step returns, whatever that is;
    dropped when the step raises.
    """

    __slots__ = (
        "_attempt",
        "_created_at",
        "_foreign_id",
        "_reason",
        "_run_id",
        "_run_state",
        "_status",
        "_updated_at",
        "_version",
        "_visit",
        "data",
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
        """run_id: a new one by default. created_at: now by default. updated_at: created_at by default."""
        self.data = data
        self._status = status
        self._run_id = run_id or new_run_id()
        self._foreign_id = foreign_id
        self._run_state = run_state
        self._version = version
        self._visit = visit
        self._attempt = attempt
        self._reason = reason
        self._created_at = created_at or datetime.now(UTC)
        self._updated_at = updated_at or self._created_at

    @property
    def status(self) -> S:
        return self._status

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
        """Goes up by one with every write of the run, from 1."""
        return self._version

    @property
    def visit(self) -> int:
        """The version at which the run entered its status."""
        return self._visit

    @property
    def attempt(self) -> int:
        """How many attempts at the step have failed since the run entered its status, or since the step last returned, as with Repeat."""
        return self._attempt

    @property
    def reason(self) -> str | None:
        """What a halt gave as its reason, or the error of the last failed attempt."""
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
        """For calls to other systems: the same on every attempt of a visit, another in the next one."""
        return f"{self._run_id}:{self._visit}"

    def __repr__(self) -> str:
        where = f"{self._status} {self._run_state.name} version={self._version}"
        return f"<Run {self._run_id} foreign_id={self._foreign_id!r} {where}>"  # without the data: it may be personal
