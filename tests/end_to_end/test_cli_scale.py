"""`workflow-ray scale` changes shard counts while something runs on the records."""

import pytest

from tests.end_to_end.conftest import CommandLine


@pytest.fixture
def cli(cli: CommandLine) -> CommandLine:
    """Deploy the letters, and send one."""
    cli(
        "run",
        "tests.end_to_end.letters:letters",
        "--runtime",
        "local",
        "--input",
        "-",
        given='{"foreign_id": "a", "data": {"to": "ann"}}\n',
    )
    return cli


def test_a_count_that_is_set_holds_until_it_is_reset(cli: CommandLine) -> None:
    assert cli("scale", "letters", "WRITTEN", "--shards", "4").stdout.startswith(
        "letters.WRITTEN: 4 shards, on "
    )
    cli(
        "run",
        "tests.end_to_end.letters:letters",
        "--runtime",
        "local",
        "--input",
        "-",
        given='{"foreign_id": "d", "data": {"to": "dan"}}\n',
    )
    (run,) = cli.json("runs", "list", "letters", "--foreign-id", "d")
    assert "-of-4" in cli("runs", "history", run["run_id"]).stdout
    assert cli("scale", "letters", "WRITTEN", "--reset").stdout.startswith(
        "letters.WRITTEN: 1 shard, on "
    )
    assert cli.json("scale", "letters", "WRITTEN", "--shards", "2") == {
        "records": cli.records,
        "workflow": "letters",
        "status": "WRITTEN",
        "shards": 2,
    }


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("letters", "WRITTEN"), "--shards N, or --reset"),
        (("letters", "WRITTEN", "--shards", "2", "--reset"), "--shards N, or --reset"),
        (("letters", "LOST", "--shards", "2"), "WRITTEN"),
        (("letters", "SENT", "--shards", "2"), "it has no step"),
        (("letters", "WRITTEN", "--shards", "1000"), "the partitions of 'letters'"),
        (("parcels", "WRITTEN", "--shards", "2"), "'parcels' is not deployed"),
    ],
)
def test_a_refused_command_prints_one_line_and_changes_nothing(
    cli: CommandLine, arguments: tuple[str, ...], why: str
) -> None:
    done = cli("scale", *arguments, expect=2)
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.timeout(180)
def test_shards_change_on_ray_while_it_runs(cli: CommandLine) -> None:
    try:
        cli("deploy", "tests.end_to_end.letters:letters")
        cli("scale", "letters", "WRITTEN", "--shards", "3")
        started = {actor["phase"] for actor in cli.roles() if actor["name"].endswith("-of-3")}
        assert started <= {"standby", "running"}, "they were started before the count changed"
        cli("deploy", "tests.end_to_end.letters:letters")
        running = {actor["name"] for actor in cli.roles() if actor["phase"] == "running"}
        assert {f"letters-1-consumer-{shard}-of-3" for shard in (1, 2, 3)} <= running
        assert "letters-1-consumer-1-of-1" not in running
    finally:
        cli("down")
