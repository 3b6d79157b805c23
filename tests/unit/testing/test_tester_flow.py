"""Flow control in tests: parked runs are admitted as time passes."""

from typing import Literal

from tests.unit.client.test_replacing import Book, Shelf
from workflow_ray import Cause, FlowControl, Rate, Run, Trigger, Workflow
from workflow_ray.testing import WorkflowTester


def sheds(flow: FlowControl[Book, Shelf]) -> Workflow[Book, Shelf]:
    workflow = Workflow("sheds", Book, Shelf)

    @workflow.step(Shelf.SORTING, flow=flow)
    async def sort(run: Run[Book, Shelf]) -> Literal[Shelf.SORTED, Shelf.LATE]:
        return Shelf.SORTED

    return workflow


async def test_a_rate_admits_each_run_at_its_own_time() -> None:
    workflow = sheds(FlowControl(rate=Rate(2, per=60)))
    async with WorkflowTester(workflow) as tester:
        begun, client = tester.now, tester.client(workflow)
        await client.trigger_many([Trigger(str(number), Book()) for number in range(6)])
        await tester.settle()
        assert "the rate of status 1 of sheds-admission at" in tester.due()[0]
        await tester.advance(600)
        at = [
            (entry.at - begun).total_seconds()
            async for run in client.runs()
            for entry in await client.handle(run.run_id).history()
            if entry.cause is Cause.ADMITTED
        ]
        assert at == [0.0, 0.0, 60.0, 60.0, 120.0, 120.0]


async def test_the_engine_may_crash_at_any_commit_of_an_admission() -> None:
    workflow = sheds(FlowControl(concurrency=1, rate=Rate(9, per=60)))
    commits = 14
    for commit in range(1, commits):
        for side in ("before", "after"):
            tester = WorkflowTester(workflow)
            tester.crash_at(commit, "before" if side == "before" else "after")
            async with tester:
                client = tester.client(workflow)
                started = await client.trigger_many(
                    [Trigger(str(n), Book(), delay=n // 2) for n in range(3)]
                )
                await tester.advance(1)
                for handle, _ in started:
                    run = await handle.wait(timeout=60)
                    assert run.status is Shelf.SORTED
                    causes = [entry.cause for entry in await handle.history()]
                    assert causes.count(Cause.ADMITTED) == 1


async def test_the_runs_of_a_batch_step_are_parked_too_and_those_that_are_delayed() -> None:
    workflow = Workflow("stacks", Book, Shelf)
    sizes: list[int] = []

    @workflow.batch_step(Shelf.SORTING, flow=FlowControl(concurrency=2), max_batch=5)
    async def sort(runs: list[Run[Book, Shelf]]) -> list[Literal[Shelf.SORTED, Shelf.LATE]]:
        sizes.append(len(runs))
        return [Shelf.SORTED for _ in runs]

    async with WorkflowTester(workflow) as tester:
        client = tester.client(workflow)
        started = await client.trigger_many(
            [Trigger(str(number), Book(), delay=number % 2) for number in range(6)]
        )
        await tester.advance(2)
        for handle, _ in started:
            assert (await handle.get()).status is Shelf.SORTED
    assert sum(sizes) == 6
    assert max(sizes) <= 2
