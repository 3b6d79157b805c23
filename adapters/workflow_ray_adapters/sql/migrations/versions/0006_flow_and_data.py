"""Labels, flow control, errors and versions of data, and what retention finds keys by.

It only adds: earlier code goes on working. It knows none of this, so runs of workflows that use it
must be left to newer code.
"""

import sqlalchemy as sa

from workflow_ray_adapters.sql.columns import TEXT, key
from workflow_ray_adapters.sql.definition import add_column, create_index, create_table

revision = "0006"
down_revision = "0005"

KEY = key(255)
UUID = key(36)
IN_ITS_KEY = {"sqlite_with_rowid": False}


def upgrade() -> None:
    add_column("workflows", sa.Column("limits", TEXT))  # JSON; NULL: none
    add_column("workflows", sa.Column("shape", TEXT))  # JSON; NULL: not known
    _records()
    create_index("idempotency_keys_by_run", "idempotency_keys", ["workflow", "run_id"])
    add_column("history", sa.Column("data_version", sa.Integer))  # NULL: 1
    add_column("history", sa.Column("error", TEXT))  # JSON; NULL: none
    create_table(
        "labels",
        sa.Column("run_id", UUID, primary_key=True),
        sa.Column("name", key(63), primary_key=True),
        sa.Column("workflow", KEY, nullable=False),
        sa.Column("value", KEY, nullable=False),
        **IN_ITS_KEY,
    )
    create_index("labels_by_value", "labels", ["workflow", "name", "value", "run_id"])
    create_table(
        "parking_changes",
        sa.Column("workflow", KEY, primary_key=True),
        sa.Column("status", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("writer", UUID, primary_key=True),
        sa.Column("changes", sa.BigInteger, nullable=False),
        **IN_ITS_KEY,
    )


def _records() -> None:
    add_column("records", sa.Column("labels", TEXT))  # JSON; NULL: none
    add_column("records", sa.Column("data_version", sa.Integer))  # NULL: 1
    add_column("records", sa.Column("parked", sa.Integer))
    add_column("records", sa.Column("parking_key", KEY))
    add_column("records", sa.Column("parking_rank", sa.BigInteger))
    add_column("records", sa.Column("lane", sa.BigInteger))
    create_index(
        "records_lane",
        "records",
        ["workflow", "lane", "parking_key", "parking_rank", "run_id"],
        of_known="lane",
    )
