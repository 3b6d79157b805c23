"""The tables. Names keep clear of every database's reserved words.

Times are microseconds since 1970 in UTC, by the store's clock. Statuses, run states and causes are stored as their numbers.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()


def _key(length: int = 255) -> String:
    return String(length)


def _table(name: str, *columns: Column[object] | Index) -> Table:
    """A table that SQLite keeps in its primary key's own tree: one look-up, one page to write."""
    return Table(name, metadata, *columns, sqlite_with_rowid=False)


# --- what should run -----------------------------------------------------------------------------

deployment = _table(  # one row
    "deployment",
    Column("store_id", _key(36), primary_key=True),
    Column("version", BigInteger, nullable=False),
)
workflows = _table(  # kept for good, and with them the number of partitions
    "workflows",
    Column("name", _key(), primary_key=True),
    Column("place", Integer),  # in the deployment's order; NULL: retired
    Column("reference", Text, nullable=False),
    Column("python_path", Text, nullable=False),  # JSON
    Column("code", _key(64), nullable=False),
    Column("partitions", Integer, nullable=False),
)
statuses = _table(  # kept for good
    "statuses",
    Column("workflow", _key(), primary_key=True),
    Column("name", _key(), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("active", Boolean, nullable=False),  # False: the newest definition has left it out
)
topology = _table(
    "topology",
    Column("role_group", _key(), primary_key=True),
    Column("workflow", _key(), primary_key=True),
    Column("shards", Integer, nullable=False),
)
fences = _table(  # kept for good: epochs only go up
    "fences",
    Column("role", _key(), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("clean", Boolean, nullable=False),  # its holder left nothing in doubt
)

# --- runs ----------------------------------------------------------------------------------------

records = Table(  # with a rowid: the data may be large, and would crowd the tree
    "records",
    metadata,
    Column("run_id", _key(36), primary_key=True),
    Column("workflow", _key(), nullable=False),
    Column("foreign_id", _key(), nullable=False),
    Column("status", Integer, nullable=False),
    Column("run_state", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("visit", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("cause", Integer, nullable=False),
    Column("reason", Text),
    Column("partition_no", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("idempotency_key", _key()),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    # The foreign id while the run is unfinished, else NULL: a plain unique index holds "at most one" by it, in any database.
    Column("unfinished", _key()),
    Index("records_unfinished", "workflow", "unfinished", unique=True),
    Index("records_foreign_id", "workflow", "foreign_id", "run_id"),
    Index("records_by_workflow", "workflow", "run_id"),
)
idempotency_keys = _table(  # outlive the run
    "idempotency_keys",
    Column("workflow", _key(), primary_key=True),
    Column("idempotency_key", _key(), primary_key=True),
    Column("run_id", _key(36), nullable=False),
)
history = _table(
    "history",
    Column("run_id", _key(36), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("status", Integer, nullable=False),
    Column("run_state", Integer, nullable=False),
    Column("cause", Integer, nullable=False),
    Column("written_by", _key(), nullable=False),
    Column("reason", Text),
    Column("written_at", BigInteger, nullable=False),
    Column("write_id", _key(36), nullable=False),
    Column("data", LargeBinary),  # NULL: as in the version before
)

# --- events --------------------------------------------------------------------------------------

outbox = Table(
    "outbox",
    metadata,
    # AUTOINCREMENT: an id removed is never given again, or a repeated `published` would remove another's entry.
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("topic", _key(), nullable=False),
    Column("partition_no", Integer, nullable=False),
    Column("run_id", _key(36), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),  # 0: at once; so that "due" is one range of the index
    Column("headers", Text),  # JSON; NULL: none
    Index("outbox_due", "due_at", "id"),
    sqlite_autoincrement=True,
)
events = _table(
    "events",
    Column("topic", _key(), primary_key=True),
    Column("partition_no", Integer, primary_key=True),
    Column("stream_offset", BigInteger, primary_key=True),
    Column("run_id", _key(36), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Text),
)
heads = _table(
    "heads",
    Column("topic", _key(), primary_key=True),
    Column("partition_no", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
)
positions = _table(
    "positions",
    Column("role_group", _key(), primary_key=True),
    Column("partition_no", Integer, primary_key=True),
    Column("stream_offset", BigInteger, nullable=False),
)
