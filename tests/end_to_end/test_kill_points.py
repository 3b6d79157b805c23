"""A transition is one transaction: nothing is lost or doubled, whenever the process dies."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.end_to_end.kill_points import KEY

SCRIPT = Path(__file__).parent / "kill_points.py"
WAITS = "tests.end_to_end.wait_points"
ROOT = Path(__file__).parents[2]
LAST, COMPLETED = 4, 5
EVERY = 16
"""The distance of the statements before which a run with waits is killed, unless all are tried."""


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


@pytest.mark.timeout(1200)
def test_what_a_run_waits_for_counts_once_whenever_its_process_is_killed(
    tmp_path: Path, rng: random.Random, thorough: bool
) -> None:
    every = 1 if thorough else EVERY
    first = rng.randint(1, every)
    ran = subprocess.run(
        [sys.executable, "-m", WAITS, str(tmp_path), str(first), str(every)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    points = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(points) > 2
    for point in points:
        assert (point["status"], point["run_state"]) == ("DONE", "COMPLETED"), point
        assert point["history"] == [
            [1, "PLANNED", "TRIGGER"],
            [2, "GUIDED", "STEP"],
            [3, "GUIDED", "CHILD"],
            [4, "GATHERING", "CHILD"],
            [5, "ASKED", "CHILDREN"],
            [6, "HELD", "CALLBACK"],
            [7, "DONE", "TIMEOUT"],
        ], point
        _, *notes = point["notes"]
        assert sorted(notes[:2]) == [f"{KEY}-0", f"{KEY}-1"], point
        assert notes[2:] == ["2 of 2", "yes"], point
        assert sorted(point["children"]) == [
            [f"{KEY}-0", "COMPLETED", 2],
            [f"{KEY}-1", "COMPLETED", 2],
        ], point


def start(statement: str) -> str:
    return " ".join(statement.split()[: 2 if statement.startswith("UPDATE") else 3])
