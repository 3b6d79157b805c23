"""`workflow-ray undeploy` removes a workflow from the deployment, whatever runs there."""

import pytest

from tests.end_to_end.conftest import CommandLine

LETTERS = "tests.end_to_end.letters:letters"


def send(cli: CommandLine, foreign_id: str, to: str, expect: int = 0) -> None:
    """Send a letter in a process that ends."""
    cli(
        "run",
        LETTERS,
        "--runtime",
        "local",
        "--input",
        "-",
        given=f'{{"foreign_id": "{foreign_id}", "data": {{"to": "{to}"}}}}\n',
        expect=expect,
    )


def test_a_workflow_is_undeployed_by_name_and_its_records_stay(cli: CommandLine) -> None:
    send(cli, "a", "ann")
    (run,) = cli.json("runs", "list", "letters")
    done = cli("undeploy", "letters")
    assert done.stdout.startswith("letters: removed from what runs on sqlite:///")
    assert "'letters' is not deployed" in cli("undeploy", "letters", expect=2).stderr
    send(cli, "b", "bob")  # deploys it again
    found = [one["run_id"] for one in cli.json("runs", "list", "letters")]
    assert run["run_id"] in found
    assert len(found) == 2


def test_unfinished_runs_keep_it_deployed_unless_it_is_forced(cli: CommandLine) -> None:
    send(cli, "a", "somebody")
    refused = cli("undeploy", "letters", expect=4).stderr
    assert "'letters' has 1 unfinished run (1 PAUSED)" in refused
    assert len(refused.splitlines()) == 1
    assert cli.json("undeploy", "letters", "--force") == {
        "records": cli.records,
        "workflow": "letters",
    }
    send(cli, "b", "bob")
    assert {run["run_state"] for run in cli.json("runs", "list", "letters")} == {
        "PAUSED",
        "COMPLETED",
    }


@pytest.mark.timeout(180)
def test_on_ray_its_actors_end_and_the_others_go_on(cli: CommandLine) -> None:
    try:
        cli("deploy", LETTERS, "tests.end_to_end.chores:chores")
        cli("undeploy", "letters")
        names = {actor["name"] for actor in cli.json("status")["roles"]}
        assert any(name.startswith("chores-") for name in names)
        assert not any(name.startswith("letters-") for name in names)
    finally:
        stopped = cli.json("down")
    assert (stopped["records"], stopped["was_running"]) == (cli.records, True)
