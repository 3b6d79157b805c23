"""The tables. Names keep clear of every database's reserved words.

Times are microseconds since 1970 in UTC, by the store's clock. Statuses, run states and causes are
stored as their numbers.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, column, text

from workflow_ray_adapters.sql.columns import BYTES, DIGEST, TEXT, key

metadata = MetaData()


def _table(name: str, *columns: Column[object] | Index) -> Table:
    """A table that SQLite keeps in its primary key's own tree: one look-up, one page to write."""
    return Table(name, metadata, *columns, sqlite_with_rowid=False)


def _index_of_known(name: str, *columns: str, of: str, unique: bool = False) -> Index:
    """Where the database can, rows without a value in the column `of` cost the index nothing."""
    known = column(of).is_not(None)
    return Index(name, *columns, unique=unique, sqlite_where=known, postgresql_where=known)


# --- what should run ----------------------------------------------------------------------------

deployment = _table(  # one row
    "deployment",
    Column("store_id", key(36), primary_key=True),
    Column("version", BigInteger, nullable=False),
    # the oldest revision of the schema whose code can read and write this one; NULL: no older one's
    Column("usable_from", key(32)),
)
workflows = _table(  # kept for good, and with them the number of partitions
    "workflows",
    Column("name", key(), primary_key=True),
    Column("place", Integer),  # in the deployment's order; NULL: retired
    Column("reference", TEXT, nullable=False),
    Column("python_path", TEXT, nullable=False),  # JSON
    Column("code", key(64), nullable=False),
    Column("superseded", TEXT),  # JSON; NULL: none
    Column("paused", TEXT),  # JSON, the schedules that an operator has paused; NULL: none
    Column("partitions", Integer, nullable=False),
)
statuses = _table(  # kept for good
    "statuses",
    Column("workflow", key(), primary_key=True),
    Column("name", key(), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("active", Boolean, nullable=False),  # False: the newest definition has left it out
)
topology = _table(
    "topology",
    Column("role_group", key(), primary_key=True),
    Column("workflow", key(), primary_key=True),
    Column("shards", Integer, nullable=False),  # as the code has it
    Column("scaled", Integer),  # as an operator set it; NULL: as the code has it
    Column("draining", Boolean),  # NULL: no
)
fences = _table(  # kept for good: epochs only go up
    "fences",
    Column("role", key(), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("holder", key()),  # the worker that holds it by a lease; NULL: nobody
    Column("lease_until", BigInteger),
    Column("role_group", key()),
    Index("fences_by_group", "role_group"),
)
# The stored names stay: to rename them would refuse earlier code during a rolling upgrade.
workers = _table(  # processes that share roles
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
    _index_of_known("records_unfinished", "workflow", "unfinished", of="unfinished", unique=True),
    Index("records_foreign_id", "workflow", "foreign_id", "run_id"),
    Index("records_by_workflow", "workflow", "run_id"),
    _index_of_known("records_awaiting", "workflow", "awaiting", "run_id", of="awaiting"),
    _index_of_known("records_resting", "workflow", "resting", "run_id", of="resting"),
)
counters = _table(  # how many runs stand where: of each writer its own part, which may be negative
    "counters",
    Column("workflow", key(), primary_key=True),
    Column("status", Integer, primary_key=True, autoincrement=False),
    Column("run_state", Integer, primary_key=True, autoincrement=False),
    Column("writer", key(36), primary_key=True),
    Column("runs", BigInteger, nullable=False),
)
idempotency_keys = _table(  # outlive the run
    "idempotency_keys",
    Column("workflow", key(), primary_key=True),
    Column("idempotency_key", key(), primary_key=True),
    Column("run_id", key(36), nullable=False),
    Column("digest", DIGEST),  # of what the key was used for; NULL: not known
)
history = _table(
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
    _index_of_known("messages_expiring", "workflow", "outcome", "expires_at", of="expires_at"),
    sqlite_autoincrement=True,
)
once_results = _table(
    "once_results",
    Column("run_id", key(36), primary_key=True),
    Column("visit", BigInteger, primary_key=True),
    Column("name", key(), primary_key=True),
    Column("result", BYTES, nullable=False),
)
links = _table(  # kept for good
    "links",
    Column("parent", key(36), primary_key=True),
    Column("child", key(36), primary_key=True),
    Column("version", BigInteger, primary_key=True),  # of the parent: the one that made the link
    Column("statuses", TEXT, nullable=False),  # JSON
    Column("gathered_at", TEXT, nullable=False),  # JSON
    Column("cascades", Boolean, nullable=False),
    Index("links_by_child", "child", "parent", "version"),
)
gatherings = _table(  # the children of a workflow that a parent's message is to tell of
    "gatherings",
    Column("parent", key(36), primary_key=True),
    Column("workflow", key(), primary_key=True),
    Column("since", BigInteger, nullable=False),  # the version that started the first of them
    Column("unended", Integer, nullable=False),
    Column("started", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("cancelled", Integer, nullable=False),
)
set_aside = _table(
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
    _index_of_known("set_aside_due", "role_group", "due_at", of="due_at"),
    Index("set_aside_by_event", "role_group", "event_id"),
)

# --- events -------------------------------------------------------------------------------------

outbox = Table(
    "outbox",
    metadata,
    # AUTOINCREMENT: an id removed is never given again, or a repeated `published` would remove
    # another's entry.
    Column(
        "id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    Column("topic", key(), nullable=False),
    Column("partition_no", Integer, nullable=False),
    Column("run_id", key(36), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    # 0: at once; -1: it carries a timeout. So each kind is one range of the index
    Column("due_at", BigInteger, nullable=False),
    Column("headers", TEXT),  # JSON; NULL: none
    # Of a timeout that is to be created in another store; its status is the timeout's, and it has
    # no topic.
    Column("timeout_name", key()),
    Column("timeout_workflow", key()),
    Column("timeout_due_at", BigInteger),
    Index("outbox_due", "due_at", "id"),
    Index("outbox_by_run", "run_id"),
    sqlite_autoincrement=True,
)
events = _table(
    "events",
    Column("topic", key(), primary_key=True),
    Column("partition_no", Integer, primary_key=True),
    Column("stream_offset", BigInteger, primary_key=True),
    Column("run_id", key(36), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", TEXT),
)
heads = _table(
    "heads",
    Column("topic", key(), primary_key=True),
    Column("partition_no", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
)
positions = _table(
    "positions",
    Column("role_group", key(), primary_key=True),
    Column("partition_no", Integer, primary_key=True),
    Column("stream_offset", BigInteger, nullable=False),
    Column("begun", BigInteger, nullable=False),
    Column("trying", TEXT),  # JSON; NULL: none
    Column("in_use_role", key()),  # NULL: it is not in use
    Column("in_use_epoch", BigInteger),
    # Last, because MariaDB sets columns one after another: the others depend on what these were.
    Column("incarnation", BigInteger, nullable=False),
    Column("log", key(1000), nullable=False),
)

# --- timeouts -----------------------------------------------------------------------------------

timeouts = _table(  # of two with one key the first stands
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
