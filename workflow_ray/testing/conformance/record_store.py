"""All that a RecordStore must do.

RoleScheduler.acquire of the same store gives out the fences that it checks.
"""

from workflow_ray.testing.conformance.activity import ActivityCases
from workflow_ray.testing.conformance.atomicity import AtomicityCases
from workflow_ray.testing.conformance.breakage import BreakageCases
from workflow_ray.testing.conformance.child_ends import ChildEndCases
from workflow_ray.testing.conformance.children import ChildrenCases
from workflow_ray.testing.conformance.clocks import ClockCases
from workflow_ray.testing.conformance.deployments import DeploymentCases
from workflow_ray.testing.conformance.entries_set_aside import SetAsideCases
from workflow_ray.testing.conformance.erasing import ErasingCases
from workflow_ray.testing.conformance.errors import ErrorCases
from workflow_ray.testing.conformance.filters import FilterCases
from workflow_ray.testing.conformance.gathering_counts import GatheringCountCases
from workflow_ray.testing.conformance.gatherings import GatheringCases
from workflow_ray.testing.conformance.inboxes import InboxCases
from workflow_ray.testing.conformance.joins import JoinCases
from workflow_ray.testing.conformance.labels import LabelCases
from workflow_ray.testing.conformance.message_ends import MessageEndCases
from workflow_ray.testing.conformance.message_failures import MessageFailureCases
from workflow_ray.testing.conformance.message_keys import MessageKeyCases
from workflow_ray.testing.conformance.message_takes import MessageTakeCases
from workflow_ray.testing.conformance.message_waits import MessageWaitCases
from workflow_ray.testing.conformance.messages import MessageCases
from workflow_ray.testing.conformance.once_results import OnceCases
from workflow_ray.testing.conformance.outbox import OutboxCases
from workflow_ray.testing.conformance.outbox_waits import OutboxWaitCases
from workflow_ray.testing.conformance.parking import ParkingCases
from workflow_ray.testing.conformance.parking_orders import ParkingOrderCases
from workflow_ray.testing.conformance.parking_waits import ParkingWaitCases
from workflow_ray.testing.conformance.processes import ProcessCases
from workflow_ray.testing.conformance.progress import ProgressCases
from workflow_ray.testing.conformance.queries import QueryCases
from workflow_ray.testing.conformance.relatives import RelativeCases
from workflow_ray.testing.conformance.removals import RemovalCases
from workflow_ray.testing.conformance.removed_keys import RemovedKeyCases
from workflow_ray.testing.conformance.timed_writes import ApartTimeoutCases
from workflow_ray.testing.conformance.times import TimeCases
from workflow_ray.testing.conformance.triggers import TriggerCases
from workflow_ray.testing.conformance.waiting import WaitingCases
from workflow_ray.testing.conformance.writes import WriteCases


class RecordStoreConformance(
    WriteCases,
    AtomicityCases,
    ProgressCases,
    TriggerCases,
    QueryCases,
    FilterCases,
    WaitingCases,
    ActivityCases,
    TimeCases,
    ClockCases,
    DeploymentCases,
    OutboxCases,
    OutboxWaitCases,
    ApartTimeoutCases,
    ProcessCases,
    BreakageCases,
    MessageCases,
    MessageKeyCases,
    MessageTakeCases,
    MessageFailureCases,
    MessageEndCases,
    InboxCases,
    OnceCases,
    ChildrenCases,
    ChildEndCases,
    JoinCases,
    GatheringCases,
    GatheringCountCases,
    RelativeCases,
    SetAsideCases,
    MessageWaitCases,
    LabelCases,
    ErrorCases,
    ParkingCases,
    ParkingOrderCases,
    ParkingWaitCases,
    ErasingCases,
    RemovalCases,
    RemovedKeyCases,
):
    """For a `store` that is a Records: a RecordStore and a RoleScheduler.

    Uses `another` and `fragile`.
    """
