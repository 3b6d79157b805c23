"""The tables, as migrations make them and as the code names them."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from workflow_ray_adapters.sql.schema import MIGRATIONS, REVISION, VERSION_TABLE
from workflow_ray_adapters.sql.sqlite.connections import reading
from workflow_ray_adapters.sql.tables import metadata


def test_the_migrations_make_the_tables_that_the_code_names(path: Path, store_id: str) -> None:
    with closing(reading(str(path))) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_code_asks_for_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_opening_a_store_does_without_the_migrations(path: Path, store_id: str) -> None:
    script = f"""
import sys
from workflow_ray_adapters.sql.sqlite import file
file.checked({str(path)!r})
assert "alembic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, env={"PYTHONPATH": ":".join(sys.path)})
