"""A transition is one transaction: nothing is lost or doubled, whenever the process dies."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "kill_points.py"
LAST, COMPLETED = 4, 5


@pytest.mark.timeout(300)
def test_a_process_killed_between_any_two_statements_loses_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)], check=True, capture_output=True, text=True
    )
    points = [json.loads(line) for line in ran.stdout.splitlines()]
    statements = [point["before"] for point in points if point["before"] is not None]
    tables = ("history", "outbox", "events", "positions")
    assert {
        *(f"INSERT INTO {table}" for table in tables),
        "UPDATE records",
        "DELETE FROM outbox",
        "COMMIT",
    } <= set(map(start, statements))
    for point in points:
        ((status, run_state, version, data),) = point["runs"]
        assert (status, run_state) == (LAST, COMPLETED), point
        assert data == {"steps": 3}, point
        versions = [entry[0] for entry in point["history"]]
        assert versions == list(range(1, version + 1)), point
        visited = [entry[1] for entry in point["history"]]
        assert sorted(set(visited)) == [1, 2, 3, 4], point


def start(statement: str) -> str:
    return " ".join(statement.split()[: 2 if statement.startswith("UPDATE") else 3])
