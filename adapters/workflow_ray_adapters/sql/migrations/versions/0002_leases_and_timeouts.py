"""Leases on roles, the processes that share them, and timeouts.

Only adds: earlier code runs on beside it.
"""

import sqlalchemy as sa
from alembic import op

from workflow_ray_adapters.sql.columns import TEXT, key
from workflow_ray_adapters.sql.definition import add_column, create_index, create_table

revision = "0002"
down_revision = "0001"

KEY = key(255)
UUID = key(36)
IN_ITS_KEY = {"sqlite_with_rowid": False}
WITHOUT_NOTIFICATIONS = ("mariadb", "mysql")


def upgrade() -> None:
    add_column("fences", sa.Column("found_clean", sa.Boolean))
    add_column("fences", sa.Column("holder", KEY))
    add_column("fences", sa.Column("lease_until", sa.BigInteger))
    create_table(
        "members",
        sa.Column("member", KEY, primary_key=True),
        sa.Column("roles", TEXT, nullable=False),
        sa.Column("lives_until", sa.BigInteger, nullable=False),
        **IN_ITS_KEY,
    )
    create_table(
        "timeouts",
        sa.Column("run_id", UUID, primary_key=True),
        sa.Column("visit", sa.BigInteger, primary_key=True),
        sa.Column("name", KEY, primary_key=True),
        sa.Column("workflow", KEY, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("partition_no", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("completed", sa.Boolean, nullable=False),
        **IN_ITS_KEY,
    )
    create_index("timeouts_due", "timeouts", ["workflow", "status", "completed", "due_at"])
    if op.get_bind().dialect.name in WITHOUT_NOTIFICATIONS:
        create_table(
            "commits",
            sa.Column("process", UUID, primary_key=True),
            sa.Column("number", sa.BigInteger, nullable=False),
            sa.Column("committed_at", sa.BigInteger, nullable=False),
        )
