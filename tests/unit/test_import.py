"""What `import workflow_ray` costs those who only look at it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAVY = {
    "aiokafka",
    "alembic",
    "asyncmy",
    "asyncpg",
    "cryptography",
    "fsspec",
    "ray",
    "redis",
    "rich",
    "sqlalchemy",
    "typer",
}


def test_the_package_is_imported_without_what_only_some_of_it_needs() -> None:
    program = "import sys, workflow_ray; print(*(name for name in sys.modules if '.' not in name))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "workflow_ray" in loaded
    assert HEAVY.intersection(loaded) == set()


def test_a_program_that_joins_no_transaction_does_not_load_an_orm(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from tests.unit.parcels import Parcel, packing
from workflow_ray import Runtime

async def main():
    parcels = packing()
    async with Runtime.local(parcels, records=sys.argv[1]) as runtime:
        await (await runtime.client(parcels).trigger("1", Parcel())).wait()
    print("sqlalchemy.orm" in sys.modules, "sqlalchemy" in sys.modules)

asyncio.run(main())
"""
    command = [sys.executable, "-c", program, f"sqlite:///{tmp_path}/records.db"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "True"]
