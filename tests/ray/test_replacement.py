"""An actor is replaced when functions that it has abandoned still run in it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.ray.conftest import Deployment, eventually
from tests.ray.flows import Lift, LiftStatus, go_on, hang, lifts
from workflow_ray import Runtime
from workflow_ray.errors import CallbackFailed
from workflow_ray.records import Cause, RoleName
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.runtime.ray.replacement import GRACE, LOOK, MOST, until_due
from workflow_ray.testing import FakeClock

CONSUMER = "lifts-1-consumer-1-of-1"
ROLE = RoleName(CONSUMER)
SOON = timedelta(seconds=60)


class Process:
    """The functions of a process, as a test sets them."""

    def __init__(self) -> None:
        self.running = 1
        self.abandoned = 0
        self.clock = FakeClock()
        self._in_flight = InFlight()

    async def due_after(self, seconds: float) -> bool:
        """Whether the process should be replaced after so long."""
        with self._in_flight.counted(ROLE, lambda: self.running, lambda: self.abandoned):
            waiting = asyncio.create_task(until_due(ROLE, self._in_flight, self.clock))
            await self.clock.advance(timedelta(seconds=seconds))
            await self.clock.settle()
            is_due = waiting.done()
            waiting.cancel()
            await asyncio.wait([waiting])
        return is_due


@pytest.mark.parametrize(
    ("running", "abandoned", "seconds", "is_due"),
    [
        (0, 0, 100 * GRACE, False),
        (0, 1, GRACE, False),
        (0, 1, GRACE + 2 * LOOK, True),
        (1, 1, 100 * GRACE, False),
        (1, MOST - 1, 100 * GRACE, False),
        (1, MOST, GRACE + 2 * LOOK, True),
    ],
)
async def test_a_process_is_replaced_while_it_runs_nothing_else_or_once_many_functions_hang(
    running: int, abandoned: int, seconds: float, is_due: bool
) -> None:
    process = Process()
    process.running, process.abandoned = running, abandoned
    assert await process.due_after(seconds) is is_due


@pytest.mark.timeout(120)
async def test_an_actor_whose_plain_function_hangs_is_replaced_once_the_others_have_finished(
    deployment: Deployment, tmp_path: Path
) -> None:
    async with Runtime.ray(lifts, records=deployment.records) as runtime:
        before = await deployment.pids()
        client = runtime.client(lifts)
        lift = Lift(folder=str(tmp_path))
        stuck = await client.trigger("stuck", lift)
        with pytest.raises(CallbackFailed, match=r"it took longer than 0\.5 s \(timeout=0\.5\)"):
            await stuck.callback(hang, "now", timeout=SOON)
        other = await client.trigger("other", lift)
        calling = asyncio.create_task(other.callback(go_on, "now", timeout=SOON))
        await eventually(_is_there(tmp_path / "journal"), "the function has not begun")
        assert (await deployment.pids())[CONSUMER] == before[CONSUMER]
        (tmp_path / "gate").touch()
        run = await calling
        assert run.status is LiftStatus.UP
        after = await deployment.pids(other_than=before[CONSUMER])
        assert {name for name in before if before[name] != after[name]} == {CONSUMER}
        status = (await deployment.actors())[CONSUMER]
        assert "1 of its functions run on after their time limit" in status.why
        assert not status.crashed
        assert (tmp_path / "journal").read_text() == "other\n"
        history = [entry.cause for entry in await other.history()]
        assert history == [Cause.TRIGGER, Cause.CALLBACK]


def _is_there(file: Path) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return file.exists()

    return look
