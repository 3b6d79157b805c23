"""The ports: typed protocols that adapters implement, asynchronous and batch-first.

Their docstrings are the contract.
"""

from workflow_ray.ports.adapters import (
    Adapter,
    EventsAdapter,
    RecordsAdapter,
    RunKeysAdapter,
    TimeoutsAdapter,
    TransactionsAdapter,
    adapter_for,
    events_adapter,
    has_unescaped_userinfo,
    path_in_url,
    records_adapter,
    run_keys_of,
    scheme_of,
    timeouts_adapter,
    transactions_of,
)
from workflow_ray.ports.clock import Clock, SystemClock
from workflow_ray.ports.codec import ClaimCheck, Codec, Payload, PayloadKind, RunKeys, Unreadable
from workflow_ray.ports.connector_source import ConnectorSource, PositionListener, SourceReader
from workflow_ray.ports.event_streamer import EventStreamer, OutboxMover, PositionMirror, Trimmer
from workflow_ray.ports.persistence import FIRST_PAUSE, LONGEST_PAUSE, persist
from workflow_ray.ports.record_store import RecordStore
from workflow_ray.ports.role_scheduler import RoleScheduler
from workflow_ray.ports.sharing import assigned
from workflow_ray.ports.store import STORE_PORTS, Records, Store, WholeStore, ports_of
from workflow_ray.ports.timeout_store import TimeoutStore
from workflow_ray.ports.transactions import StepTransaction, Transactions

__all__ = [
    "FIRST_PAUSE",
    "LONGEST_PAUSE",
    "STORE_PORTS",
    "Adapter",
    "ClaimCheck",
    "Clock",
    "Codec",
    "ConnectorSource",
    "EventStreamer",
    "EventsAdapter",
    "OutboxMover",
    "Payload",
    "PayloadKind",
    "PositionListener",
    "PositionMirror",
    "RecordStore",
    "Records",
    "RecordsAdapter",
    "RoleScheduler",
    "RunKeys",
    "RunKeysAdapter",
    "SourceReader",
    "StepTransaction",
    "Store",
    "SystemClock",
    "TimeoutStore",
    "TimeoutsAdapter",
    "Transactions",
    "TransactionsAdapter",
    "Trimmer",
    "Unreadable",
    "WholeStore",
    "adapter_for",
    "assigned",
    "events_adapter",
    "has_unescaped_userinfo",
    "path_in_url",
    "persist",
    "ports_of",
    "records_adapter",
    "run_keys_of",
    "scheme_of",
    "timeouts_adapter",
    "transactions_of",
]
