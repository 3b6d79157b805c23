"""The tables. Names keep clear of every database's reserved words.

Times are microseconds since 1970 in UTC, by the store's clock. Statuses, run states and causes are
stored as their numbers.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, text

from workflow_ray.records import MAX_LABEL_NAME
from workflow_ray_adapters.sql.columns import BYTES, DIGEST, TEXT, key
from workflow_ray_adapters.sql.metadata import index_of_known, make_table, metadata

# --- what should run ----------------------------------------------------------------------------

deployment = make_table(  # one row
    "deployment",
    Column("store_id", key(36), primary_key=True),
    Column("version", BigInteger, nullable=False),
    # the oldest revision of the schema whose code can read and write this one; NULL: no older one's
    Column("usable_from", key(32)),
)
workflows = make_table(  # kept for good, and with them the number of partitions
    "workflows",
    Column("name", key(), primary_key=True),
    Column("place", Integer),  # in the deployment's order; NULL: retired
    Column("reference", TEXT, nullable=False),
    Column("python_path", TEXT, nullable=False),  # JSON
    Column("code", key(64), nullable=False),
    Column("superseded", TEXT),  # JSON; NULL: none
    Column("paused", TEXT),  # JSON, the schedules that an operator has paused; NULL: none
    Column("partitions", Integer, nullable=False),
    Column("limits", TEXT),  # JSON, those that an operator has set; NULL: none
    Column("shape", TEXT),  # JSON; NULL: not known
)
statuses = make_table(  # kept for good
    "statuses",
    Column("workflow", key(), primary_key=True),
    Column("name", key(), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("active", Boolean, nullable=False),  # False: the newest definition has left it out
)
topology = make_table(
    "topology",
    Column("role_group", key(), primary_key=True),
    Column("workflow", key(), primary_key=True),
    Column("shards", Integer, nullable=False),  # as the code has it
    Column("scaled", Integer),  # as an operator set it; NULL: as the code has it
    Column("draining", Boolean),  # NULL: no
)
fences = make_table(  # kept for good: epochs only go up
    "fences",
    Column("role", key(), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", key()),  # the worker that holds it by a lease; NULL: nobody
    Column("lease_until", BigInteger),
    Column("role_group", key()),
    Index("fences_by_group", "role_group"),
)
# The stored names stay: to rename them would refuse earlier code during a rolling upgrade.
workers = make_table(  # processes that share roles
    "members",
    Column("member", key(), key="worker", primary_key=True),
    Column("roles", TEXT, nullable=False),  # JSON: the names of those that it can run
    Column("lives_until", BigInteger, nullable=False),
)

# --- runs ---------------------------------------------------------------------------------------

records = Table(  # with a rowid: the data may be large, and would crowd the tree
    "records",
    metadata,
    Column("run_id", key(36), primary_key=True),
    Column("workflow", key(), nullable=False),
    Column("foreign_id", key(), nullable=False),
    Column("status", Integer, nullable=False),
    Column("run_state", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("visit", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("cause", Integer, nullable=False),
    Column("reason", TEXT),
    Column("partition_no", Integer, nullable=False),
    Column("data", BYTES, nullable=False),
    Column("idempotency_key", key()),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("awaits", Integer, nullable=False),
    Column("awaited", BigInteger, nullable=False),
    # While it awaits an event: its partition, else NULL; while it does not: its status and run
    # state (rows.resting), else NULL. So a step that leads to a step touches no index.
    Column("awaiting", Integer),
    Column("resting", BigInteger),
    # The foreign id while the run is unfinished, else NULL: a plain unique index holds "at most
    # one" by it, in any database.
    Column("unfinished", key()),
    # The messages that wait, and what else is kept for the run, as one number (marks.py); 0: none.
    # Writes do not name it, unless they change it.
    Column("marks", Integer, nullable=False, server_default=text("0")),
    # Those from here on are NULL in most rows, and mostly no write names them (extensions.py).
    Column("labels", TEXT),  # JSON; NULL: none
    Column("data_version", Integer),  # NULL: 1
    # 1: flow control holds the run back at its status; 0: it has let it go on; NULL: it does not
    # order it there
    Column("parked", Integer),
    Column("parking_key", key()),
    Column("parking_rank", BigInteger),  # the negative of the priority: the index is ascending
    # Where flow control finds it (rows.lane); NULL: nowhere, or it is at rest
    Column("lane", BigInteger),
    index_of_known("records_unfinished", "workflow", "unfinished", of="unfinished", unique=True),
    Index("records_foreign_id", "workflow", "foreign_id", "run_id"),
    Index("records_by_workflow", "workflow", "run_id"),
    index_of_known("records_awaiting", "workflow", "awaiting", "run_id", of="awaiting"),
    index_of_known("records_resting", "workflow", "resting", "run_id", of="resting"),
    index_of_known(
        "records_lane", "workflow", "lane", "parking_key", "parking_rank", "run_id", of="lane"
    ),
)
counters = (
    make_table(  # how many runs stand where: of each writer its own part, which may be negative
        "counters",
        Column("workflow", key(), primary_key=True),
        Column("status", Integer, primary_key=True, autoincrement=False),
        Column("run_state", Integer, primary_key=True, autoincrement=False),
        Column("writer", key(36), primary_key=True),
        Column("runs", BigInteger, nullable=False),
    )
)
idempotency_keys = make_table(  # outlive the run
    "idempotency_keys",
    Column("workflow", key(), primary_key=True),
    Column("idempotency_key", key(), primary_key=True),
    Column("run_id", key(36), nullable=False),
    Column("digest", DIGEST),  # of what the key was used for; NULL: not known
    Index("idempotency_keys_by_run", "workflow", "run_id"),
)
history = make_table(
    "history",
    Column("run_id", key(36), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("status", Integer, nullable=False),
    Column("run_state", Integer, nullable=False),
    Column("cause", Integer, nullable=False),
    Column("written_by", key(), nullable=False),
    Column("reason", TEXT),
    Column("written_at", BigInteger, nullable=False),
    Column("write_id", key(36), nullable=False),
    Column("data", BYTES),  # NULL: as in the version before
    Column("data_version", Integer),  # NULL: 1
    Column("error", TEXT),  # JSON; NULL: none
)
labels = make_table(
    "labels",
    Column("run_id", key(36), primary_key=True),
    Column("name", key(MAX_LABEL_NAME), primary_key=True),
    Column("workflow", key(), nullable=False),
    Column("value", key(), nullable=False),
    Index("labels_by_value", "workflow", "name", "value", "run_id"),
)
parking_changes = make_table(  # what flow control orders has changed so often: as counters
    "parking_changes",
    Column("workflow", key(), primary_key=True),
    Column("status", Integer, primary_key=True, autoincrement=False),
    Column("writer", key(36), primary_key=True),
    Column("changes", BigInteger, nullable=False),
)

# --- what runs wait for, and what is kept for them -----------------------------------------------

messages = Table(
    "messages",
    metadata,
    # in the order in which they were posted, among those of one run
    Column(
        "id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    Column("workflow", key(), nullable=False),
    Column("kind", Integer, nullable=False),
    Column("message_id", key(), nullable=False),
    Column("run_id", key(36), nullable=False),
    Column("name", key(), nullable=False),
    Column("statuses", TEXT, nullable=False),  # JSON
    Column("kept_at", TEXT),  # JSON; NULL: at all statuses
    Column("visit", BigInteger),  # NULL: any
    Column("payload", BYTES, nullable=False),
    Column("digest", DIGEST),
    Column("sent_by", key(), nullable=False),
    Column("posted_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),  # NULL: it does not expire
    Column("attempt", Integer, nullable=False),
    Column("due_at", BigInteger),  # NULL: now
    Column("reason", TEXT),
    Column("outcome", Integer, nullable=False),  # 0: it waits
    Column("version", BigInteger),
    Column("settled_at", BigInteger),
    Index("messages_by_key", "workflow", "kind", "message_id", unique=True),
    Index("messages_of_run", "run_id", "outcome", "id"),
    index_of_known("messages_expiring", "workflow", "outcome", "expires_at", of="expires_at"),
    sqlite_autoincrement=True,
)
once_results = make_table(
    "once_results",
    Column("run_id", key(36), primary_key=True),
    Column("visit", BigInteger, primary_key=True),
    Column("name", key(), primary_key=True),
    Column("result", BYTES, nullable=False),
)
links = make_table(  # kept for good
    "links",
    Column("parent", key(36), primary_key=True),
    Column("child", key(36), primary_key=True),
    Column("version", BigInteger, primary_key=True),  # of the parent: the one that made the link
    Column("statuses", TEXT, nullable=False),  # JSON
    Column("gathered_at", TEXT, nullable=False),  # JSON
    Column("cascades", Boolean, nullable=False),
    Index("links_by_child", "child", "parent", "version"),
)
gatherings = make_table(  # the children of a workflow that a parent's message is to tell of
    "gatherings",
    Column("parent", key(36), primary_key=True),
    Column("workflow", key(), primary_key=True),
    Column("since", BigInteger, nullable=False),  # the version that started the first of them
    Column("unended", Integer, nullable=False),
    Column("started", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
)
set_aside = make_table(
    "set_aside",
    Column("role_group", key(), primary_key=True),
    Column("partition_no", Integer, primary_key=True, autoincrement=False),
    # the log, if it is short: a key can't hold a long one
    Column("log_key", key(191), primary_key=True),
    Column("incarnation", BigInteger, primary_key=True, autoincrement=False),
    Column("stream_offset", BigInteger, primary_key=True, autoincrement=False),
    Column("log", key(1000), nullable=False),
    Column("event_id", key(), nullable=False),
    Column("event", BYTES, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("error", TEXT, nullable=False),
    Column("due_at", BigInteger),  # NULL: a dead letter
    Column("set_aside_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    index_of_known("set_aside_due", "role_group", "due_at", of="due_at"),
    Index("set_aside_by_event", "role_group", "event_id"),
)

# --- timeouts -----------------------------------------------------------------------------------

timeouts = make_table(  # of two with one key the first stands
    "timeouts",
    Column("run_id", key(36), primary_key=True),
    Column("visit", BigInteger, primary_key=True),
    Column("name", key(), primary_key=True),
    Column("workflow", key(), nullable=False),
    Column("status", Integer, nullable=False),
    Column("partition_no", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("completed", Boolean, nullable=False),
    Column("completed_at", BigInteger),  # NULL: it is not completed
    Index("timeouts_due", "workflow", "status", "completed", "due_at"),
    Index("timeouts_completed", "completed_at"),
)
