"""The tables, as migrations make them and as the code names them."""

import asyncio
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData

from workflow_ray.ports import adapter_for, scheme_of
from workflow_ray_adapters.sql import schema
from workflow_ray_adapters.sql.mariadb.commits import commits
from workflow_ray_adapters.sql.metadata import metadata
from workflow_ray_adapters.sql.schema import MIGRATIONS, REVISION, VERSION_TABLE
from workflow_ray_adapters.sql.sqlite.connections import open_reader

from .databases import ALL, empty, transact

SCHEMAS = Path(__file__).parent / "schemas"


@pytest.mark.parametrize("kind", ALL)
async def test_the_migrations_make_the_tables_that_the_code_names(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = empty(kind, request, tmp_path)
    await asyncio.to_thread(adapter_for(url).create, url)
    named = MetaData()
    for table in (*metadata.sorted_tables, *([commits] if scheme_of(url) == "mariadb" else [])):
        table.to_metadata(named)

    def differences(connection: Connection) -> object:
        context = MigrationContext.configure(
            connection, opts={"version_table": VERSION_TABLE, "compare_type": True}
        )
        return compare_metadata(context, named)

    assert await transact(url, differences) == []


async def test_what_was_on_sqlite_before_there_were_servers_is_made_as_it_was(
    path: Path, url: str
) -> None:
    path.touch()
    await transact(url, lambda connection: schema.migrate(connection, "0001"))
    with closing(open_reader(str(path))) as connection:
        made = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        ).scalars()
        assert (
            "".join(f"{statement};\n" for statement in made)
            == (SCHEMAS / "0001_sqlite.sql").read_text()
        )


def test_the_code_asks_for_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_opening_a_store_does_without_the_migrations(path: Path, store_id: str) -> None:
    script = f"""
import sys
from workflow_ray_adapters.sql.sqlite import file
file.check({str(path)!r})
assert "alembic" not in sys.modules
"""
    subprocess.run(
        [sys.executable, "-c", script], check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
