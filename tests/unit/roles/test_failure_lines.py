"""The log lines of failed attempts."""

from datetime import timedelta
from typing import Literal

import pytest

from tests.unit.parcels import Parcel, ParcelRun, Stage, parcels
from workflow_ray import Retry
from workflow_ray.testing import WorkflowTester

# --- what the log says --------------------------------------------------------------------------


async def test_a_failed_attempt_is_one_line_and_the_last_one_an_error_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW, retry=Retry(attempts=2, backoff=timedelta(seconds=8)))
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        raise ValueError("no card")

    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("bad", Parcel())
        await tester.advance(timedelta(minutes=1))
    first, last = [
        record for record in caplog.records if record.name == "workflow_ray.roles.failures"
    ]
    for record, version in ((first, 1), (last, 2)):
        assert vars(record)["run_id"] == handle.run_id
        assert vars(record)["version"] == version
        assert vars(record)["role"] == "parcels-1-consumer-1-of-1"
    assert [(record.levelname, record.exc_info is not None) for record in (first, last)] == [
        ("WARNING", False),
        ("ERROR", True),
    ]
    assert first.getMessage().startswith(f"parcels: run bad ({handle.run_id}): step ")
    assert " failed (attempt 1 of 2): ValueError: no card. Retrying in" in first.getMessage()
    assert (
        "(attempt 2 of 2): ValueError: no card. No attempt follows; the run is paused."
        in last.getMessage()
    )


async def test_the_log_line_of_an_attempt_stays_one_short_line_whatever_ids_and_errors_hold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workflow = parcels()

    @workflow.step(Stage.NEW, retry=Retry(attempts=1))
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        raise ValueError("first\nsecond\x1b[2J" + "x" * 1_000_000)

    async with WorkflowTester(workflow) as tester:
        await tester.client(workflow).trigger("bad\nERROR", Parcel())
        await tester.advance(timedelta(minutes=1))
    (record,) = [one for one in caplog.records if one.name == "workflow_ray.roles.failures"]
    line = record.getMessage()
    assert line.startswith(r"parcels: run bad\nERROR (")
    assert r"ValueError: first\nsecond\x1b[2Jxxx" in line
    assert line.endswith("xxx. No attempt follows; the run is paused.")
    assert line.isprintable()
    assert len(line) < 3000
