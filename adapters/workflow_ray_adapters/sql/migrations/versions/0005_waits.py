"""What runs wait for: messages, children, results of `once`, entries set aside, and the schedules
that an operator has paused.

It only adds: earlier code goes on working. It knows none of this, so runs of workflows that use it
must be left to newer code.
"""

import sqlalchemy as sa

from workflow_ray_adapters.sql.columns import BYTES, DIGEST, TEXT, key
from workflow_ray_adapters.sql.definition import add_column, create_index, create_table

revision = "0005"
down_revision = "0004"

KEY = key(255)
UUID = key(36)
IN_ITS_KEY = {"sqlite_with_rowid": False}


def upgrade() -> None:
    add_column(
        "records", sa.Column("marks", sa.Integer, nullable=False, server_default=sa.text("0"))
    )
    add_column("workflows", sa.Column("paused", TEXT))  # schedules; JSON; NULL: none
    _messages()
    _families()
    create_table(
        "once_results",
        sa.Column("run_id", UUID, primary_key=True),
        sa.Column("visit", sa.BigInteger, primary_key=True),
        sa.Column("name", KEY, primary_key=True),
        sa.Column("result", BYTES, nullable=False),
        **IN_ITS_KEY,
    )
    _set_aside()


def _messages() -> None:
    create_table(
        "messages",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("workflow", KEY, nullable=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("message_id", KEY, nullable=False),
        sa.Column("run_id", UUID, nullable=False),
        sa.Column("name", KEY, nullable=False),
        sa.Column("statuses", TEXT, nullable=False),
        sa.Column("kept_at", TEXT),
        sa.Column("visit", sa.BigInteger),
        sa.Column("payload", BYTES, nullable=False),
        sa.Column("digest", DIGEST),
        sa.Column("sent_by", KEY, nullable=False),
        sa.Column("posted_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("reason", TEXT),
        sa.Column("outcome", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger),
        sa.Column("settled_at", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    create_index("messages_by_key", "messages", ["workflow", "kind", "message_id"], unique=True)
    create_index("messages_of_run", "messages", ["run_id", "outcome", "id"])
    create_index(
        "messages_expiring",
        "messages",
        ["workflow", "outcome", "expires_at"],
        of_known="expires_at",
    )


def _families() -> None:
    create_table(
        "links",
        sa.Column("parent", UUID, primary_key=True),
        sa.Column("child", UUID, primary_key=True),
        sa.Column("version", sa.BigInteger, primary_key=True),
        sa.Column("statuses", TEXT, nullable=False),
        sa.Column("gathered_at", TEXT, nullable=False),
        sa.Column("cascades", sa.Boolean, nullable=False),
        **IN_ITS_KEY,
    )
    create_index("links_by_child", "links", ["child", "parent", "version"])
    create_table(
        "gatherings",
        sa.Column("parent", UUID, primary_key=True),
        sa.Column("workflow", KEY, primary_key=True),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("unended", sa.Integer, nullable=False),
        sa.Column("started", sa.Integer, nullable=False),
        sa.Column("completed", sa.Integer, nullable=False),
        sa.Column("cancelled", sa.Integer, nullable=False),
        **IN_ITS_KEY,
    )


def _set_aside() -> None:
    create_table(
        "set_aside",
        sa.Column("role_group", KEY, primary_key=True),
        sa.Column("partition_no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("log_key", key(191), primary_key=True),
        sa.Column("incarnation", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("stream_offset", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("log", key(1000), nullable=False),
        sa.Column("event_id", KEY, nullable=False),
        sa.Column("event", BYTES, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("error", TEXT, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("set_aside_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        **IN_ITS_KEY,
    )
    create_index("set_aside_due", "set_aside", ["role_group", "due_at"], of_known="due_at")
    create_index("set_aside_by_event", "set_aside", ["role_group", "event_id"])
