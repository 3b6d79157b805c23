"""A digest of what each idempotency key was used for.

It only adds: earlier code goes on working. A key without a digest was stored by earlier code, and
nothing is compared with it.
"""

import sqlalchemy as sa

from workflow_ray_adapters.sql.columns import DIGEST
from workflow_ray_adapters.sql.definition import add_column

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    add_column("idempotency_keys", sa.Column("digest", DIGEST))
