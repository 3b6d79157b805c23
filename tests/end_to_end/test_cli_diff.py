"""`workflow-ray diff` shows what a deploy would change, and changes nothing."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.end_to_end.conftest import CommandLine
from tests.end_to_end.freights import REFERENCE, loaded, new_version, old_version, without_held
from workflow_ray import Runtime


@pytest.fixture
async def folders(cli: CommandLine, tmp_path: Path) -> dict[str, Path]:
    """Deploy the old version, with three runs that wait, and write the others."""
    versions = {
        "old": old_version(tmp_path),
        "new": new_version(tmp_path),
        "gone": without_held(tmp_path, moved=False),
        "moved": without_held(tmp_path, moved=True),
    }
    old = loaded(versions["old"])
    statuses: Any = old.statuses
    async with Runtime.local(old, records=cli.records) as runtime:
        for number in range(3):
            await runtime.client(old).trigger(f"{number}", old.data(), start_at=statuses.HELD)
    return versions


def diff(cli: CommandLine, folder: Path, *arguments: str, expect: int = 0) -> str:
    """Compare the version in the folder with what is deployed."""
    path = os.pathsep.join([str(folder), cli.environment.get("PYTHONPATH", "")])
    environment = {**cli.environment, "PYTHONPATH": path}
    there = CommandLine(cli.records, environment)
    return there("diff", REFERENCE, *arguments, expect=expect).stdout


async def test_it_shows_each_change_with_its_runs(
    cli: CommandLine, folders: dict[str, Path]
) -> None:
    assert diff(cli, folders["new"]).splitlines() == [
        "freight:",
        "  ~ data version of the runs: 1 -> 2 (3 unfinished runs)",
        "  ~ data model of the runs: another JSON schema (3 unfinished runs)",
    ]
    assert diff(cli, folders["old"], "--exit-code") == "freight: no change.\n"
    diff(cli, folders["new"], "--exit-code", expect=9)


async def test_it_says_whether_a_deploy_would_be_refused_and_why(
    cli: CommandLine, folders: dict[str, Path]
) -> None:
    shown = diff(cli, folders["gone"], "--exit-code", expect=4)
    assert "  - status HELD = 4 (3 unfinished runs)\n" in shown
    assert "  - function callback let_go of HELD (3 unfinished runs)\n" in shown
    assert "A deploy would be refused:\n  status HELD = 4 is gone, and 3 unfinished runs" in shown
    assert "refused" not in diff(cli, folders["moved"])


async def test_it_prints_json(cli: CommandLine, folders: dict[str, Path]) -> None:
    printed = diff(cli, folders["gone"], "--json")
    found = msgspec.json.decode(printed)
    (workflow,) = found["workflows"]
    assert (workflow["workflow"], workflow["deployed"]) == ("freight", True)
    assert {
        "kind": "status",
        "change": "gone",
        "what": "HELD = 4",
        "before": "",
        "after": "",
        "runs": 3,
        "finished": 0,
        "read": 0,
    } in workflow["changes"]
    assert len(workflow["refused"]) == 1


async def test_a_workflow_that_is_not_deployed_is_new(cli: CommandLine, tmp_path: Path) -> None:
    folder = old_version(tmp_path)
    cli("run", "tests.end_to_end.letters:letters", "--runtime", "local", "--input", "-", given="")
    assert diff(cli, folder, "--exit-code", expect=9) == "freight: new, a deploy adds it.\n"


async def test_a_deploy_that_strands_runs_ends_a_command_with_its_findings(
    cli: CommandLine, folders: dict[str, Path]
) -> None:
    folder = folders["gone"]
    path = os.pathsep.join([str(folder), cli.environment.get("PYTHONPATH", "")])
    environment = {**cli.environment, "PYTHONPATH": path}
    there = CommandLine(cli.records, environment)
    done = there("run", REFERENCE, "--runtime", "local", "--input", "-", given="", expect=4)
    assert "status HELD = 4 is gone, and 3 unfinished runs stand at it" in done.stderr
    assert "--strand" in done.stderr
    there("run", REFERENCE, "--runtime", "local", "--input", "-", "--strand", given="")
