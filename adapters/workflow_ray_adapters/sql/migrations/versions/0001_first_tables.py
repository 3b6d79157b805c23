"""The first tables.

What they mean stands in tables.py; this file is history, and stays as it is.
"""

import sqlalchemy as sa

from workflow_ray_adapters.sql.columns import BYTES, TEXT, key
from workflow_ray_adapters.sql.definition import create_index, create_table

revision = "0001"
down_revision = None

KEY = key(255)
UUID = key(36)
IN_ITS_KEY = {"sqlite_with_rowid": False}


def upgrade() -> None:
    _deployment()
    _runs()
    _events()


def _deployment() -> None:
    create_table(
        "deployment",
        sa.Column("store_id", UUID, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        **IN_ITS_KEY,
    )
    create_table(
        "workflows",
        sa.Column("name", KEY, primary_key=True),
        sa.Column("place", sa.Integer),
        sa.Column("reference", TEXT, nullable=False),
        sa.Column("python_path", TEXT, nullable=False),
        sa.Column("code", key(64), nullable=False),
        sa.Column("partitions", sa.Integer, nullable=False),
        **IN_ITS_KEY,
    )
    create_table(
        "statuses",
        sa.Column("workflow", KEY, primary_key=True),
        sa.Column("name", KEY, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        **IN_ITS_KEY,
    )
    create_table(
        "topology",
        sa.Column("role_group", KEY, primary_key=True),
        sa.Column("workflow", KEY, primary_key=True),
        sa.Column("shards", sa.Integer, nullable=False),
        **IN_ITS_KEY,
    )
    create_table(
        "fences",
        sa.Column("role", KEY, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("clean", sa.Boolean, nullable=False),
        **IN_ITS_KEY,
    )


def _runs() -> None:
    create_table(
        "records",
        sa.Column("run_id", UUID, primary_key=True),
        sa.Column("workflow", KEY, nullable=False),
        sa.Column("foreign_id", KEY, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("run_state", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("visit", sa.BigInteger, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("cause", sa.Integer, nullable=False),
        sa.Column("reason", TEXT),
        sa.Column("partition_no", sa.Integer, nullable=False),
        sa.Column("data", BYTES, nullable=False),
        sa.Column("idempotency_key", KEY),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("unfinished", KEY),
    )
    create_index("records_unfinished", "records", ["workflow", "unfinished"], unique=True)
    create_index("records_foreign_id", "records", ["workflow", "foreign_id", "run_id"])
    create_index("records_by_workflow", "records", ["workflow", "run_id"])
    create_table(
        "idempotency_keys",
        sa.Column("workflow", KEY, primary_key=True),
        sa.Column("idempotency_key", KEY, primary_key=True),
        sa.Column("run_id", UUID, nullable=False),
        **IN_ITS_KEY,
    )
    create_table(
        "history",
        sa.Column("run_id", UUID, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("run_state", sa.Integer, nullable=False),
        sa.Column("cause", sa.Integer, nullable=False),
        sa.Column("written_by", KEY, nullable=False),
        sa.Column("reason", TEXT),
        sa.Column("written_at", sa.BigInteger, nullable=False),
        sa.Column("write_id", UUID, nullable=False),
        sa.Column("data", BYTES),
        **IN_ITS_KEY,
    )


def _events() -> None:
    create_table(
        "outbox",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("topic", KEY, nullable=False),
        sa.Column("partition_no", sa.Integer, nullable=False),
        sa.Column("run_id", UUID, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("headers", TEXT),
        sqlite_autoincrement=True,
    )
    create_index("outbox_due", "outbox", ["due_at", "id"])
    create_table(
        "events",
        sa.Column("topic", KEY, primary_key=True),
        sa.Column("partition_no", sa.Integer, primary_key=True),
        sa.Column("stream_offset", sa.BigInteger, primary_key=True),
        sa.Column("run_id", UUID, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("headers", TEXT),
        **IN_ITS_KEY,
    )
    create_table(
        "heads",
        sa.Column("topic", KEY, primary_key=True),
        sa.Column("partition_no", sa.Integer, primary_key=True),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        **IN_ITS_KEY,
    )
    create_table(
        "positions",
        sa.Column("role_group", KEY, primary_key=True),
        sa.Column("partition_no", sa.Integer, primary_key=True),
        sa.Column("stream_offset", sa.BigInteger, nullable=False),
        **IN_ITS_KEY,
    )
