"""The tables of the outbox, of events and of positions. See `tables`."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from workflow_ray_adapters.sql.columns import TEXT, key
from workflow_ray_adapters.sql.metadata import make_table, metadata

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
events = make_table(
    "events",
    Column("topic", key(), primary_key=True),
    Column("partition_no", Integer, primary_key=True),
    Column("stream_offset", BigInteger, primary_key=True),
    Column("run_id", key(36), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", TEXT),
)
heads = make_table(
    "heads",
    Column("topic", key(), primary_key=True),
    Column("partition_no", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
)
positions = make_table(
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
