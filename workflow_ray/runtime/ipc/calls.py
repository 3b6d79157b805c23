"""The arguments of the store's methods as they travel.

Fields are only added, with a default, so that old and new code understand each other.
"""

import msgspec

from workflow_ray.records import (
    DeployedWorkflow,
    Event,
    Fence,
    Role,
    RunId,
    RunQuery,
    Timeout,
    TimeoutKey,
    Topic,
    Version,
    WaitingQuery,
    WriteGroup,
)


class Call(msgspec.Struct, frozen=True):
    """The arguments of one call; alone, of a method that has none."""


class StoreCall(Call, frozen=True):
    groups: tuple[WriteGroup, ...]


class LookupCall(Call, frozen=True):
    run_ids: tuple[RunId, ...]
    fresh: bool


class LatestCall(Call, frozen=True):
    workflow: str
    foreign_ids: tuple[str, ...]


class RunsCall(Call, frozen=True):
    query: RunQuery


class CountsCall(Call, frozen=True):
    workflow: str


class HistoryCall(Call, frozen=True):
    run_id: RunId
    after: Version
    limit: int


class WatchCall(Call, frozen=True):
    seen: dict[RunId, Version]
    wait: float
    at_rest: bool


class PositionsCall(Call, frozen=True):
    group: str


class PendingCall(Call, frozen=True):
    fence: Fence
    limit: int
    wait: float
    without: tuple[tuple[Topic, int], ...] = ()
    timeouts_only: bool = False


class PublishedCall(Call, frozen=True):
    fence: Fence
    ids: tuple[int, ...]


class WaitingCall(Call, frozen=True):
    query: WaitingQuery


class DeploymentCall(Call, frozen=True):
    newer_than: int | None = None
    wait: float = 0.0


class DeployCall(Call, frozen=True):
    expected: int
    workflows: tuple[DeployedWorkflow, ...]


class AcquireCall(Call, frozen=True):
    role: Role


class ReleaseCall(Call, frozen=True):
    fence: Fence


class ShareCall(Call, frozen=True):
    worker: str
    roles: tuple[Role, ...]
    held: tuple[Fence, ...]
    lease: float


class LeaveCall(Call, frozen=True):
    worker: str


class PrepareCall(Call, frozen=True):
    topics: dict[Topic, int]


class SendCall(Call, frozen=True):
    events: tuple[Event, ...]


class ReceiveCall(Call, frozen=True):
    topic: Topic
    offsets: dict[int, int]
    reader: str
    limit: int
    wait: float


class LagCall(Call, frozen=True):
    topic: Topic
    offsets: dict[int, int]


class EndsCall(Call, frozen=True):
    topic: Topic
    partitions: tuple[int, ...]


class CreateCall(Call, frozen=True):
    timeouts: tuple[Timeout, ...]


class DueCall(Call, frozen=True):
    workflow: str
    status: int
    partitions: tuple[int, ...]
    limit: int
    wait: float
    after: Timeout | None = None


class CompleteCall(Call, frozen=True):
    keys: tuple[TimeoutKey, ...]


class MoveCall(Call, frozen=True):
    fence: Fence
    limit: int
    wait: float


class TrimCall(Call, frozen=True):
    fence: Fence
    topic: Topic
    offsets: dict[int, int]
    limit: int


class TrimTimeoutsCall(Call, frozen=True):
    completed: float
    limit: int
