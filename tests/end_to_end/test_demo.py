"""Runs the main job on Ray, as `make demo`, Ctrl-C, a second `make demo` and `make down` do."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.orders.generate import encode, generate
from tests.end_to_end.conftest import CommandLine, interrupt

COUNT = 2000
pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]


@pytest.fixture
def cli(cli: CommandLine) -> Iterator[CommandLine]:
    """Run the command line, and stop at the end what the test left on Ray."""
    yield cli
    cli("down")
    assert cli.roles() == []


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "orders.jsonl"
    path.write_text("".join(f"{encode(key, order)}\n" for key, order in generate(COUNT, seed=7)))
    return str(path)


def test_the_job_goes_on_after_ctrl_c_and_processes_no_order_twice(
    cli: CommandLine, source: str, tmp_path: Path
) -> None:
    command, report = ("run", "examples.orders:orders", "--input"), tmp_path / "report.json"

    job = cli.start(*command, "-")  # gets a part of the orders, and then waits for more
    assert job.stdin is not None
    job.stdin.write("".join(Path(source).read_text().splitlines(keepends=True)[: COUNT // 2]))
    job.stdin.flush()
    while not any(actor["name"].startswith("orders-1-consumer") for actor in cli.roles()):
        assert job.poll() is None
    code, said = interrupt(job)
    assert (code, said.splitlines()[-1].split(".")[0], "Traceback" in said) == (
        130,
        "workflow-ray: interrupted",
        False,
    )

    cli(*command, source, "--report", str(report))
    first = json.loads(report.read_bytes())
    assert first["started"] + first["known"] == COUNT
    assert sum(first["runs"].values()) == COUNT

    again = cli(*command, source, "--report", str(report)).stdout
    second = json.loads(report.read_bytes())
    assert (second["started"], second["known"], second["runs"]) == (0, COUNT, first["runs"])
    assert "2,000, none processed twice" in again

    actors = cli.roles()
    assert {actor["phase"] for actor in actors} == {"running"}
    assert "Stopped Ray on this machine." in cli("down").stdout
    assert [actor["name"] for actor in actors if alive(actor["pid"])] == []
    assert "Nothing runs on sqlite://" in cli("status").stdout


def test_deployed_workflows_run_without_a_command(cli: CommandLine) -> None:
    deployed = cli("deploy", "examples.orders:orders", "tests.end_to_end.letters:letters").stdout
    assert (
        deployed
        == f"orders: started, 5 roles.\nletters: started, 3 roles.\nRunning on {cli.records}.\n"
    )
    names = [actor["name"] for actor in cli.roles()]
    assert {"orders-1-consumer-1-of-1", "letters-1-consumer-1-of-1"} <= set(names)


def alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
