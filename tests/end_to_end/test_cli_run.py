"""`workflow-ray run` processes each line of a file once, whatever happens meanwhile.

The tests use the local runtime, which starts quickly.
"""

import json
import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from examples.orders import orders
from examples.orders.generate import encode, generate
from tests.end_to_end.conftest import CommandLine, interrupt
from tests.end_to_end.letters import Letter, letters
from workflow_ray import RunState, connect

ORDERS = ("run", "examples.orders:orders", "--runtime", "local", "--input")
LETTERS = ("run", "tests.end_to_end.letters:letters", "--runtime", "local", "--input", "-")


def letter(key: str, to: str) -> str:
    return json.dumps({"foreign_id": key, "data": {"to": to}}) + "\n"


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Write 500 orders to a file."""
    path = tmp_path / "orders.jsonl"
    path.write_text("".join(f"{encode(key, order)}\n" for key, order in generate(500, seed=7)))
    return str(path)


async def assert_each_order_was_processed_once(records: str, count: int) -> None:
    """Check that every order has one completed run.

    Its history has each version, and each status, exactly once.
    """
    async with connect(orders, records=records) as client:
        runs = [run async for run in client.runs()]
        histories = [await client.handle(run.run_id).history() for run in runs]
    assert sorted(run.foreign_id for run in runs) == [key for key, _ in generate(count, seed=7)]
    for run, history in zip(runs, histories, strict=True):
        assert run.run_state is RunState.COMPLETED
        assert [entry.version for entry in history] == list(range(1, run.version + 1))
        assert len({entry.status for entry in history}) == len(history)


async def test_each_order_ends_where_it_should_and_the_report_says_so(
    cli: CommandLine, source: str, tmp_path: Path
) -> None:
    said = cli(*ORDERS, source, "--report", str(tmp_path / "report.json")).stdout
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert (report["started"], report["known"], report["refused"]) == (500, 0, [])
    assert report["runs"].keys() == {"SHIPPED", "REJECTED"}
    assert sum(report["runs"].values()) == 500
    assert 0 < report["runs"]["REJECTED"] < 50
    assert report["transitions"] == 3 * report["runs"]["SHIPPED"] + report["runs"]["REJECTED"]
    assert 0 < report["p50_ms"] <= report["p99_ms"]
    assert report["transitions_per_second"] > 0
    assert f"SHIPPED      │  {report['runs']['SHIPPED']}" in said
    assert cli.records in said
    await assert_each_order_was_processed_once(cli.records, 500)


async def test_the_same_orders_again_are_recognised_and_none_is_processed_twice(
    cli: CommandLine, source: str, tmp_path: Path
) -> None:
    cli(*ORDERS, source)
    again = cli(*ORDERS, source, "--report", str(tmp_path / "report.json")).stdout
    report = json.loads((tmp_path / "report.json").read_bytes())
    assert (report["started"], report["known"], report["transitions_per_second"]) == (0, 500, None)
    assert "500, none processed twice" in again
    await assert_each_order_was_processed_once(cli.records, 500)


def test_a_refused_line_is_reported_with_its_number_while_the_others_go_through(
    cli: CommandLine,
) -> None:
    given = letter("a", "ann") + "nonsense\n" + letter("b", "bob") + '{"foreign_id": "c"}\n'
    done = cli(*LETTERS, given=given, expect=6)
    assert "line 2 refused: not JSON" in done.stderr
    assert "line 4 refused: not {" in done.stderr
    assert "Traceback" not in done.stderr
    assert {run["foreign_id"]: run["status"] for run in cli.json("runs", "list", "letters")} == {
        "a": "SENT",
        "b": "SENT",
    }


def test_runs_that_pause_or_are_cancelled_have_ended_for_the_job(cli: CommandLine) -> None:
    done = cli(*LETTERS, given=letter("a", "nobody") + letter("b", "somebody") + letter("c", "cem"))
    for end in (
        "WRITTEN (CANCELLED) │    1",
        "WRITTEN (PAUSED)    │    1",
        "SENT                │    1",
    ):
        assert end in done.stdout
    assert "Show why 1 are paused:\n    workflow-ray runs list letters --state" in done.stdout


async def test_a_line_is_refused_whose_foreign_id_has_an_unfinished_run_from_elsewhere(
    cli: CommandLine,
) -> None:
    cli(*LETTERS, given=letter("a", "ann"))
    async with connect(letters, records=cli.records) as client:
        other = await client.trigger("b", Letter(to="somebody"))
    assert other.run_id in cli(*LETTERS, given=letter("b", "bob"), expect=6).stderr


async def test_a_line_that_comes_again_with_other_data_is_refused_and_no_run_is_lost(
    cli: CommandLine,
) -> None:
    cli(*LETTERS, given=letter("a", "ann") + letter("b", "bob"))
    runs = {run["foreign_id"]: run["run_id"] for run in cli.json("runs", "list", "letters")}
    given = letter("a", "ann") + letter("b", "s3cret") + letter("c", "cem")
    done = cli(*LETTERS, given=given, expect=6)
    (refused,) = [line for line in done.stderr.splitlines() if "refused" in line]
    assert refused == (
        f"line 2 refused: foreign_id: 'b' is the idempotency key of run {runs['b']}, which was"
        " triggered with other data, or not by a line"
    )
    assert "s3cret" not in done.stdout + done.stderr
    assert "started now             1" in done.stdout
    assert "known before            1" in done.stdout
    after = {run["foreign_id"]: run["run_id"] for run in cli.json("runs", "list", "letters")}
    assert after.keys() == {"a", "b", "c"}
    assert after.items() >= runs.items()
    async with connect(letters, records=cli.records) as client:
        assert (await client.get(runs["b"])).data == Letter(to="bob")


async def test_a_line_is_refused_whose_foreign_id_is_the_key_of_a_run_from_elsewhere(
    cli: CommandLine,
) -> None:
    cli(*LETTERS, given=letter("a", "ann"))
    async with connect(letters, records=cli.records) as client:
        other = await client.trigger("z", Letter(to="somebody"), idempotency_key="b")
    assert other.run_id in cli(*LETTERS, given=letter("b", "somebody"), expect=6).stderr


def test_an_input_that_cannot_be_read_starts_nothing(cli: CommandLine, tmp_path: Path) -> None:
    done = cli(*ORDERS, "nowhere.jsonl", expect=2)
    assert (
        done.stderr
        == "workflow-ray: --input: nowhere.jsonl can't be read: No such file or directory\n"
    )
    assert not (tmp_path / "records.db").exists()


def test_a_workflow_that_cannot_be_imported_is_one_clear_line(cli: CommandLine) -> None:
    done = cli("run", "examples.odrers:orders", "--input", "-", expect=2)
    assert done.stderr.startswith(
        "workflow-ray: examples.odrers:orders: found no module 'examples.odrers'"
    )
    assert done.stderr.count("\n") == 1


async def test_ctrl_c_is_one_line_and_the_same_command_goes_on(
    cli: CommandLine, source: str
) -> None:
    job = cli.start(*ORDERS, "-")
    assert job.stdin is not None
    job.stdin.write("".join(Path(source).read_text().splitlines(keepends=True)[:200]))
    job.stdin.flush()
    while not count_finished(cli):
        assert job.poll() is None  # it waits for more input, and only Ctrl-C ends it
    code, said = interrupt(job)
    assert code == 130
    assert said.splitlines()[-1].startswith("workflow-ray: interrupted. ")
    assert "Traceback" not in said
    cli(*ORDERS, source)
    await assert_each_order_was_processed_once(cli.records, 500)


def count_finished(cli: CommandLine) -> int:
    """Count the newest orders that have ended; 0 where nothing is deployed yet."""
    if not Path(cli.records.removeprefix("sqlite:///")).exists():
        return 0
    return cli("runs", "list", "orders", "--state", "COMPLETED").stdout.count("order-")


@pytest.mark.timeout(300)  # on a busy machine each start takes seconds
async def test_ctrl_c_at_any_moment_loses_and_doubles_nothing(
    cli: CommandLine, source: str, rng: random.Random
) -> None:
    code, longest = None, 2.0
    while code != 0:
        job = cli.start(*ORDERS, source)
        with suppress(subprocess.TimeoutExpired):
            job.wait(timeout=rng.uniform(0.3, longest))
        longest += 0.2  # on a busy machine the start alone takes seconds
        code, said = interrupt(job)
        # the last one: the signal came when Python had no handler, at its start or end
        assert code in (0, 130, -signal.SIGINT), said
    await assert_each_order_was_processed_once(cli.records, 500)
