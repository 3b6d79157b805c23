"""${message}"""

import sqlalchemy as sa

from workflow_ray_adapters.sql.columns import BYTES, TEXT, key
from workflow_ray_adapters.sql.definition import add_column, create_index, create_table

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}
