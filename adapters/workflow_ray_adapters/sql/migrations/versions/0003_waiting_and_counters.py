"""What a run waits for, counters, recovery by positions, timeouts in the outbox, and scaling.

Not add-only: earlier code would write records without what they wait for, and would not count
them. So processes of earlier code that still run are fenced off before anything else, and a server
refuses the runs that their clients begin.

Tables are changed in the order in which transactions lock them, so that none of those waits for
this one while this one waits for it.
"""

import sqlalchemy as sa
from alembic import op

from workflow_ray_adapters.sql.columns import TEXT, key
from workflow_ray_adapters.sql.definition import (
    add_column,
    create_index,
    create_table,
    drop_column,
    drop_index,
)

revision = "0003"
down_revision = "0002"

KEY = key(255)
UUID = key(36)
WITHOUT_NOTIFICATIONS = WITHOUT_PARTIAL_INDEXES = ("mariadb", "mysql")
EMBEDDED = "sqlite"
EVENT, MESSAGE, NOBODY = 1, 2, 4
PAUSED = 3
STAY = 4
NAMES = (
    "status",
    "run_state",
    "version",
    "cause",
    "partition_no",
    "awaits",
    "awaited",
    "awaiting",
    "resting",
)
COLUMNS = tuple(sa.column(name, sa.BigInteger) for name in NAMES)


def upgrade() -> None:
    add_column("deployment", sa.Column("usable_from", key(32)))
    op.execute(
        sa.update(sa.table("deployment", sa.column("usable_from"))).values(usable_from=revision)
    )
    _roles()
    _records()
    _counters()
    _positions()
    _outbox_and_timeouts()
    if op.get_bind().dialect.name in WITHOUT_NOTIFICATIONS:
        add_column("commits", sa.Column("recent", TEXT))


def _records() -> None:
    """A run that is at rest awaits nobody. One whose last step stayed awaits a message. Any other
    awaits an event of its newest version.
    """
    add_column("records", sa.Column("awaiting", sa.Integer))
    add_column("records", sa.Column("resting", sa.BigInteger))
    add_column(
        "records", sa.Column("awaited", sa.BigInteger, nullable=False, server_default=sa.text("0"))
    )
    add_column(
        "records",
        sa.Column("awaits", sa.Integer, nullable=False, server_default=sa.text(str(EVENT))),
    )
    # which has no such statement, and no server beside the one who migrates
    if op.get_bind().dialect.name != EMBEDDED:
        op.execute("ALTER TABLE records ALTER COLUMN awaits DROP DEFAULT")
    records = sa.table("records", *COLUMNS)
    run_state, awaits = records.c.run_state, records.c.awaits
    kinds = (
        (run_state >= PAUSED, sa.literal(NOBODY)),
        (records.c.cause == STAY, sa.literal(MESSAGE)),
    )
    op.execute(
        sa.update(records).values(
            awaits=sa.case(*kinds, else_=sa.literal(EVENT)), awaited=records.c.version
        )
    )
    op.execute(
        sa.update(records).values(
            awaiting=sa.case((awaits == EVENT, records.c.partition_no)),
            resting=sa.case(
                (awaits != EVENT, sa.cast(records.c.status, sa.BigInteger) * 8 + run_state)
            ),
        )
    )
    create_index(
        "records_awaiting", "records", ["workflow", "awaiting", "run_id"], of_known="awaiting"
    )
    create_index(
        "records_resting", "records", ["workflow", "resting", "run_id"], of_known="resting"
    )
    if op.get_bind().dialect.name not in WITHOUT_PARTIAL_INDEXES:
        drop_index("records_unfinished", "records")
        create_index(
            "records_unfinished",
            "records",
            ["workflow", "unfinished"],
            unique=True,
            of_known="unfinished",
        )


def _counters() -> None:
    create_table(
        "counters",
        sa.Column("workflow", KEY, primary_key=True),
        sa.Column("status", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("run_state", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("writer", UUID, primary_key=True),
        sa.Column("runs", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.execute("DELETE FROM counters")  # of a migration that was killed after it had counted
    op.execute(
        "INSERT INTO counters (workflow, status, run_state, writer, runs) SELECT workflow, status,"
        " run_state, '', count(*) FROM records GROUP BY workflow, status, run_state"
    )


def _roles() -> None:
    """Whoever holds a role loses it.

    Earlier code acquires none: it asks for the dropped columns.
    """
    add_column("workflows", sa.Column("superseded", TEXT))
    add_column("topology", sa.Column("scaled", sa.Integer))
    add_column("topology", sa.Column("draining", sa.Boolean))
    drop_column("fences", "clean")
    drop_column("fences", "found_clean")
    op.execute("UPDATE fences SET epoch = epoch + 1, holder = NULL, lease_until = NULL")
    add_column("fences", sa.Column("role_group", KEY))
    _name_groups()
    create_index("fences_by_group", "fences", ["role_group"])


def _name_groups() -> None:
    """A role is called GROUP-SHARD-of-SHARDS."""
    fences = sa.table("fences", sa.column("role", KEY), sa.column("role_group", KEY))
    connection = op.get_bind()
    for role in connection.scalars(sa.select(fences.c.role)).all():
        group = role.rsplit("-", 3)[0]
        connection.execute(sa.update(fences).where(fences.c.role == role).values(role_group=group))


def _positions() -> None:
    """The log is not known: it is the one that a consumer reads next."""
    add_column(
        "positions", sa.Column("begun", sa.BigInteger, nullable=False, server_default=sa.text("0"))
    )
    add_column("positions", sa.Column("trying", TEXT))
    add_column("positions", sa.Column("in_use_role", KEY))
    add_column("positions", sa.Column("in_use_epoch", sa.BigInteger))
    add_column(
        "positions",
        sa.Column("incarnation", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
    add_column(
        "positions", sa.Column("log", key(1000), nullable=False, server_default=sa.text("''"))
    )


def _outbox_and_timeouts() -> None:
    add_column("outbox", sa.Column("timeout_name", KEY))
    add_column("outbox", sa.Column("timeout_workflow", KEY))
    add_column("outbox", sa.Column("timeout_due_at", sa.BigInteger))
    create_index("outbox_by_run", "outbox", ["run_id"])
    add_column("timeouts", sa.Column("completed_at", sa.BigInteger))
    op.execute("UPDATE timeouts SET completed_at = due_at WHERE completed AND completed_at IS NULL")
    create_index("timeouts_completed", "timeouts", ["completed_at"])
