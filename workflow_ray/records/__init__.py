"""The structs that are stored and sent. Their only behaviour is their own arithmetic."""

from workflow_ray.records.activity import Activity, RoleHolder
from workflow_ray.records.admission import check_write, flaw_of_key
from workflow_ray.records.connector import ConnectorEvent
from workflow_ray.records.deployment import SUPERSEDED, DeployedWorkflow, Deployment
from workflow_ray.records.event import Arrivals, Event, OutboxEntry, OutgoingEvent, Received
from workflow_ray.records.ids import (
    NO_VERSION,
    RoleName,
    RunId,
    Topic,
    Version,
    WriteId,
    new_run_id,
    new_write_id,
    partition_of,
    status_topic,
)
from workflow_ray.records.limits import BATCH_DATA, DIGEST_SIZE, MAX_DATA, MAX_FOREIGN_ID
from workflow_ray.records.position import Position
from workflow_ray.records.query import RunCount, RunQuery, Waiting, WaitingQuery
from workflow_ray.records.record import HistoryEntry, Record
from workflow_ray.records.role import (
    CONSUMER,
    PUBLISHER,
    SWEEPER,
    Fence,
    Role,
    Shared,
    consumer_group,
)
from workflow_ray.records.run_state import Awaits, Cause, RunState
from workflow_ray.records.timeout import NewTimeout, Timeout, TimeoutKey
from workflow_ray.records.write import (
    ActiveRun,
    Committed,
    Conflict,
    Fenced,
    GroupResult,
    KeyUsed,
    NewRun,
    Stored,
    Write,
    WriteGroup,
    WriteResult,
)

__all__ = [
    "BATCH_DATA",
    "CONSUMER",
    "DIGEST_SIZE",
    "MAX_DATA",
    "MAX_FOREIGN_ID",
    "NO_VERSION",
    "PUBLISHER",
    "SUPERSEDED",
    "SWEEPER",
    "ActiveRun",
    "Activity",
    "Arrivals",
    "Awaits",
    "Cause",
    "Committed",
    "Conflict",
    "ConnectorEvent",
    "DeployedWorkflow",
    "Deployment",
    "Event",
    "Fence",
    "Fenced",
    "GroupResult",
    "HistoryEntry",
    "KeyUsed",
    "NewRun",
    "NewTimeout",
    "OutboxEntry",
    "OutgoingEvent",
    "Position",
    "Received",
    "Record",
    "Role",
    "RoleHolder",
    "RoleName",
    "RunCount",
    "RunId",
    "RunQuery",
    "RunState",
    "Shared",
    "Stored",
    "Timeout",
    "TimeoutKey",
    "Topic",
    "Version",
    "Waiting",
    "WaitingQuery",
    "Write",
    "WriteGroup",
    "WriteId",
    "WriteResult",
    "check_write",
    "consumer_group",
    "flaw_of_key",
    "new_run_id",
    "new_write_id",
    "partition_of",
    "status_topic",
]
