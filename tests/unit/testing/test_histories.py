"""Assertions on the history of a run say where it differs."""

from datetime import timedelta
from typing import Any, Literal

import pytest

from tests.unit.parcels import Parcel, Route, RoutedRun
from workflow_ray import Cause, Handle, Retry, Workflow
from workflow_ray.errors import InvalidInput
from workflow_ray.testing import WorkflowTester, assert_history


def failing() -> Workflow[Parcel, Route]:
    """Its first step fails once, and its second one for good."""
    workflow = Workflow("failing", Parcel, Route)

    @workflow.step(Route.NEW, retry=Retry(attempts=2))
    async def pack(run: RoutedRun) -> Literal[Route.PACKED]:
        if run.attempt == 0:
            raise ValueError("no box")
        return Route.PACKED

    @workflow.step(Route.PACKED, retry=Retry(attempts=1), on_failure=Route.LOST)
    async def send(run: RoutedRun) -> Literal[Route.SENT]:
        raise ValueError("no van")

    return workflow


async def handle_of(tester: WorkflowTester, workflow: Any) -> Handle[Parcel, Route]:
    handle = await tester.client(workflow).trigger("1", Parcel())
    await tester.advance(timedelta(hours=1))
    return handle


VERSIONS = [
    (Route.NEW, Cause.TRIGGER),
    (Route.NEW, Cause.RETRY),
    (Route.PACKED, Cause.STEP),
    (Route.LOST, Cause.FAILED),
]


async def test_the_statuses_of_a_run_or_its_versions_are_compared() -> None:
    workflow = failing()
    async with WorkflowTester(workflow) as tester:
        handle = await handle_of(tester, workflow)
        await assert_history(handle, [Route.NEW, Route.PACKED, Route.LOST])
        await assert_history(handle, VERSIONS)
        await assert_history(handle, tuple(VERSIONS))


@pytest.mark.parametrize(
    "expected",
    [
        [],
        [Route.NEW, Route.PACKED],
        [Route.NEW, Route.NEW, Route.PACKED, Route.LOST],
        [Route.PACKED, Route.NEW, Route.LOST],
        VERSIONS[:-1],
        [*VERSIONS[:-1], (Route.LOST, Cause.STEP)],
    ],
)
async def test_every_difference_is_an_assertion_error(expected: list[Any]) -> None:
    workflow = failing()
    async with WorkflowTester(workflow) as tester:
        handle = await handle_of(tester, workflow)
        with pytest.raises(AssertionError, match="the history differs"):
            await assert_history(handle, expected)


async def test_the_error_shows_the_difference_and_the_whole_history() -> None:
    workflow = failing()
    async with WorkflowTester(workflow) as tester:
        handle = await handle_of(tester, workflow)
        with pytest.raises(AssertionError) as raised:
            await assert_history(handle, [Route.NEW, Route.PACKED, Route.SENT])
    lines = str(raised.value).splitlines()
    assert lines[:8] == [
        "the history differs (- expected, + found):",
        "    NEW",
        "    PACKED",
        "  - SENT",
        "  + LOST",
        "the whole history:",
        "  1 NEW INITIATED TRIGGER by client",
        "  2 NEW RUNNING RETRY by failing-1-consumer-1-of-1 (ValueError: no box)",
    ]


@pytest.mark.parametrize(
    "expected", [None, 5, "NEW", Route.NEW, ["NEW"], [1], [Route.NEW, VERSIONS[0]], [(Route.NEW,)]]
)
async def test_anything_else_is_refused(expected: Any) -> None:
    workflow = failing()
    async with WorkflowTester(workflow) as tester:
        handle = await handle_of(tester, workflow)
        with pytest.raises(InvalidInput, match="expected: it is a list of statuses, or of pairs"):
            await assert_history(handle, expected)
