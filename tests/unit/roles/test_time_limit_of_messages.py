"""The time limit holds for the functions of messages as it does for steps."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Literal

import pytest

from tests.unit.bench import Bench
from tests.unit.parcels import Parcel
from workflow_ray import Children, Retry, Run, RunState, Status, Stay, Workflow
from workflow_ray.errors import CallbackFailed
from workflow_ray.records import Cause

LIMIT = 10.0
DELAY = 5.0
RETRY = Retry(attempts=2, backoff=timedelta(seconds=1))
TOO_LONG = "it took longer than 10 s (timeout=10)"


class At(Status):
    ASKED = 1
    DUE = 2
    WAITING = 3
    GATHERING = 4
    DONE = 5
    LOST = 6


class Leg(Status):
    NEW = 1
    DONE = 2


AnyRun = Run[Parcel, At]


class Trips:
    """Its functions hang in their first attempts: async ones in the loop, plain ones in threads."""

    def __init__(self, *, is_plain: bool, hanging: int, on_failure: At | None) -> None:
        self.calls = 0
        self.gate = threading.Event()
        self.legs = Workflow("legs", Parcel, Leg)
        self.trips = Workflow("trips", Parcel, At, entry=tuple(At))
        self.is_plain = is_plain
        self._hanging = hanging
        self._declare(on_failure)

    def _declare(self, on_failure: At | None) -> None:
        trips, legs = self.trips, self.legs
        lapse, arrived, all_arrived, confirm = self._plain() if self.is_plain else self._async()
        options: dict[str, Any] = {"retry": RETRY, "timeout": LIMIT, "on_failure": on_failure}

        async def travel(run: Run[Parcel, Leg]) -> Literal[Leg.DONE]:
            return Leg.DONE

        async def start(run: AnyRun) -> Stay:
            run.start(legs, f"{run.foreign_id}-leg", Parcel())
            return Stay()

        legs.step(Leg.NEW)(travel)
        trips.step(At.WAITING)(start)
        trips.timeout(At.DUE, after=DELAY, **options)(lapse)
        trips.child(At.WAITING, legs, **options)(arrived)
        trips.children(At.GATHERING, legs, **options)(all_arrived)
        trips.callback(At.ASKED, retry=RETRY, timeout=LIMIT)(confirm)

    def _async(self) -> tuple[Any, ...]:
        async def lapse(run: AnyRun) -> Literal[At.DONE]:
            return await self.work()

        async def arrived(run: AnyRun, leg: Run[Parcel, Leg]) -> Literal[At.DONE]:
            return await self.work()

        async def all_arrived(run: AnyRun, done: Children[Parcel, Leg]) -> Literal[At.DONE]:
            return await self.work()

        async def confirm(run: AnyRun, message: str) -> Literal[At.DONE]:
            return await self.work()

        return lapse, arrived, all_arrived, confirm

    def _plain(self) -> tuple[Any, ...]:
        def lapse(run: AnyRun) -> Literal[At.DONE]:
            return self.plain_work()

        def arrived(run: AnyRun, leg: Run[Parcel, Leg]) -> Literal[At.DONE]:
            return self.plain_work()

        def all_arrived(run: AnyRun, done: Children[Parcel, Leg]) -> Literal[At.DONE]:
            return self.plain_work()

        def confirm(run: AnyRun, message: str) -> Literal[At.DONE]:
            return self.plain_work()

        return lapse, arrived, all_arrived, confirm

    async def work(self) -> Literal[At.DONE]:
        self.calls += 1
        if self.calls <= self._hanging:
            await asyncio.Event().wait()
        return At.DONE

    def plain_work(self) -> Literal[At.DONE]:
        self.calls += 1
        if self.calls <= self._hanging:
            self.gate.wait()
        return At.DONE

    async def called(self, bench: Bench, times: int) -> None:
        """Wait until the function was called so often. Threads take real time."""
        while self.calls < times:
            await asyncio.sleep(0.001)
            await bench.pass_time()


@pytest.fixture
def make() -> Iterator[Callable[..., Trips]]:
    """Makes workflows, whose threads end with the test."""
    made: list[Trips] = []

    def make(**options: Any) -> Trips:
        made.append(Trips(**options))
        return made[-1]

    yield make
    for trips in made:
        trips.gate.set()


async def started(bench: Bench) -> None:
    await bench.publisher()
    await bench.all_consumers()
    await bench.timeout_consumer(At.DUE)


@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
@pytest.mark.parametrize("start", [At.DUE, At.WAITING, At.GATHERING])
@pytest.mark.parametrize("on_failure", [None, At.LOST])
async def test_a_function_that_takes_too_long_is_called_again_and_then_fails_for_good(
    make: Callable[..., Trips], is_plain: bool, start: At, on_failure: At | None
) -> None:
    trips = make(is_plain=is_plain, hanging=2, on_failure=on_failure)
    async with Bench(trips.trips, trips.legs) as bench:
        await started(bench)
        handle = await bench.client(trips.trips).trigger("1", Parcel(), start_at=start)
        await bench.pass_time(DELAY)
        await trips.called(bench, 1)
        await bench.pass_time(LIMIT)
        assert (await handle.get()).status is start
        await bench.pass_time(1)
        await trips.called(bench, 2)
        await bench.pass_time(LIMIT)
        run, (*_, last) = await handle.get(), await handle.history()
    assert (last.cause, last.reason, trips.calls) == (Cause.FAILED, TOO_LONG, 2)
    if on_failure is None:
        assert (run.run_state, run.status) == (RunState.PAUSED, start)
    else:
        assert (run.run_state, run.status) == (RunState.COMPLETED, on_failure)


@pytest.mark.parametrize("is_plain", [False, True], ids=["async", "plain"])
@pytest.mark.parametrize("hanging", [1, 2])
async def test_a_callback_that_takes_too_long_is_called_again_and_then_answers_its_sender(
    make: Callable[..., Trips], is_plain: bool, hanging: int
) -> None:
    trips = make(is_plain=is_plain, hanging=hanging, on_failure=None)
    async with Bench(trips.trips, trips.legs) as bench:
        await started(bench)
        handle = await bench.client(trips.trips).trigger("1", Parcel(), start_at=At.ASKED)
        calling = asyncio.create_task(handle.callback("confirm", b'"now"'))
        await trips.called(bench, 1)
        await bench.pass_time(LIMIT + 1)
        await trips.called(bench, 2)
        if hanging == 1:
            assert (await calling).status is At.DONE
            return
        await bench.pass_time(LIMIT)
        with pytest.raises(CallbackFailed, match=r"it took longer than 10 s \(timeout=10\)"):
            await calling
        assert (await handle.get()).version == 1
