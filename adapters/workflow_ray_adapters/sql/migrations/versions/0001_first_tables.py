"""The first tables. What they mean stands in tables.py; this file is history, and stays as it is."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

KEY = sa.String(255)
UUID = sa.String(36)
IN_ITS_KEY = {"sqlite_with_rowid": False}


def upgrade() -> None:
    _deployment()
    _runs()
    _events()


def _deployment() -> None:
    op.create_table(
        "deployment",
        sa.Column("store_id", UUID, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        **IN_ITS_KEY,
    )
    op.create_table(
        "workflows",
        sa.Column("name", KEY, primary_key=True),
        sa.Column("place", sa.Integer),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("python_path", sa.Text, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("partitions", sa.Integer, nullable=False),
        **IN_ITS_KEY,
    )
    op.create_table(
        "statuses",
        sa.Column("workflow", KEY, primary_key=True),
        sa.Column("name", KEY, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("active", sa.Boolean, nullable=False),
        **IN_ITS_KEY,
    )
    op.create_table(
        "topology",
        sa.Column("role_group", KEY, primary_key=True),
        sa.Column("workflow", KEY, primary_key=True),
        sa.Column("shards", sa.Integer, nullable=False),
        **IN_ITS_KEY,
    )
    op.create_table(
        "fences",
        sa.Column("role", KEY, primary_key=True),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("clean", sa.Boolean, nullable=False),
        **IN_ITS_KEY,
    )


def _runs() -> None:
    op.create_table(
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
        sa.Column("reason", sa.Text),
        sa.Column("partition_no", sa.Integer, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("idempotency_key", KEY),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("unfinished", KEY),
    )
    op.create_index("records_unfinished", "records", ["workflow", "unfinished"], unique=True)
    op.create_index("records_foreign_id", "records", ["workflow", "foreign_id", "run_id"])
    op.create_index("records_by_workflow", "records", ["workflow", "run_id"])
    op.create_table(
        "idempotency_keys",
        sa.Column("workflow", KEY, primary_key=True),
        sa.Column("idempotency_key", KEY, primary_key=True),
        sa.Column("run_id", UUID, nullable=False),
        **IN_ITS_KEY,
    )
    op.create_table(
        "history",
        sa.Column("run_id", UUID, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("run_state", sa.Integer, nullable=False),
        sa.Column("cause", sa.Integer, nullable=False),
        sa.Column("written_by", KEY, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("written_at", sa.BigInteger, nullable=False),
        sa.Column("write_id", UUID, nullable=False),
        sa.Column("data", sa.LargeBinary),
        **IN_ITS_KEY,
    )


def _events() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("topic", KEY, nullable=False),
        sa.Column("partition_no", sa.Integer, nullable=False),
        sa.Column("run_id", UUID, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("headers", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("outbox_due", "outbox", ["due_at", "id"])
    op.create_table(
        "events",
        sa.Column("topic", KEY, primary_key=True),
        sa.Column("partition_no", sa.Integer, primary_key=True),
        sa.Column("stream_offset", sa.BigInteger, primary_key=True),
        sa.Column("run_id", UUID, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("headers", sa.Text),
        **IN_ITS_KEY,
    )
    op.create_table(
        "heads",
        sa.Column("topic", KEY, primary_key=True),
        sa.Column("partition_no", sa.Integer, primary_key=True),
        sa.Column("next_offset", sa.BigInteger, nullable=False),
        **IN_ITS_KEY,
    )
    op.create_table(
        "positions",
        sa.Column("role_group", KEY, primary_key=True),
        sa.Column("partition_no", sa.Integer, primary_key=True),
        sa.Column("stream_offset", sa.BigInteger, nullable=False),
        **IN_ITS_KEY,
    )
