"""What `import workflow_ray` costs those who only look at it."""

import subprocess
import sys

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
