"""What runs wait for, on Ray: each role of it is an actor, which may be killed at any time."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from tests.end_to_end.histories import check_history
from tests.ray.conftest import Deployment, eventually
from tests.ray.visits import (
    DEADLY,
    EVENTS,
    STAGES,
    TICKS,
    Answer,
    Question,
    QuestionStatus,
    Stage,
    StageStatus,
    Visit,
    VisitStatus,
    answer,
    noted,
    questions,
    reply,
    stages,
    visits,
)
from workflow_ray import Client, Run, RunState, Runtime
from workflow_ray.records import Cause
from workflow_ray.runtime.ray import actors
from workflow_ray.runtime.urls import place_of

SOON = timedelta(seconds=60)
WAITS = {
    "stages-1-consumer-1-of-1",
    "stages-bulk-1-of-1",
    "stages-data-1-of-1",
    f"stages-{TICKS}-scheduler-1-of-1",
    "visits-1-consumer-1-of-1",  # the step
    "visits-2-consumer-1-of-1",  # the end of each child, and of all of them
    "visits-3-consumer-1-of-1",  # the callback
    "visits-4-consumer-1-of-1",  # the timeout
    "visits-4-timeout-consumer-1-of-1",
    "visits-bulk-1-of-1",
    "visits-data-1-of-1",
    "visits-hooks-1-of-1",
    "visits-log-connector-1-of-1",
}
OTHERS = {"outbox-publisher-1-of-1", "store", "supervisor", "sweeper-1-of-1"}
CONSUMER = "questions-1-consumer-1-of-1"
ONE_ANSWER = {Cause.TRIGGER: 1, Cause.CALLBACK: 1}


@pytest.mark.timeout(120)
async def test_runs_wait_for_all_that_they_can_wait_for(
    deployment: Deployment, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    async with Runtime.ray(visits, stages, records=deployment.records) as runtime:
        client, stages_client = runtime.client(visits), runtime.client(stages)
        handle = await client.trigger("visit", Visit(journal=str(journal)))
        await handle.wait_for(VisitStatus.ASKED, timeout=SOON)
        answered = await handle.callback(answer, Answer(text="yes"), timeout=SOON)
        assert answered.status is VisitStatus.LEAVING
        await check_visit(client, await handle.wait(timeout=SOON), journal)
        children = [child async for child in handle.children(stages)]
        assert {child.foreign_id for child in children} == {
            f"visit-{number}" for number in range(STAGES)
        }
        assert {child.data.middleware for child in children} == {"step travel, attempt 1"}
        await check_events(client)
        await check_ticks(stages_client)
        running = {one.name for one in await runtime.status() if one.is_running}
        assert running == WAITS | OTHERS


async def check_visit(
    client: Client[Visit, VisitStatus], run: Run[Visit, VisitStatus], journal: Path
) -> None:
    """Check that the run was told everything once, and that the rest was done once."""
    ticket, *told = run.data.notes
    assert sorted(told[:STAGES]) == [f"stage {number}" for number in range(STAGES)]
    assert told[STAGES:] == [f"{STAGES} of {STAGES}: {[*range(STAGES)]}", "yes", "left"]

    async def done() -> bool:
        return journal.read_text().split() == [ticket, run.foreign_id]

    await eventually(done, "the hook is not called, or the ticket was bought twice")
    assert await check_history(visits, client, run) == {
        Cause.TRIGGER: 1,
        Cause.RETRY: 1,
        Cause.STEP: 1,
        Cause.CHILD: STAGES,
        Cause.CHILDREN: 1,
        Cause.CALLBACK: 1,
        Cause.TIMEOUT: 1,
    }


async def check_events(client: Client[Visit, VisitStatus]) -> None:
    """Check that each event of the log has made one run, which has timed out."""

    async def all_done() -> bool:
        ended = [run async for run in client.runs(run_state=RunState.COMPLETED)]
        return {run.foreign_id for run in ended} >= {*EVENTS}

    await eventually(all_done, "the connector triggers nothing, or no timeout is due")
    for number, key in enumerate(EVENTS):
        run = await client.latest(key)
        assert run.data.notes == [f"event {number}", "left"]
        assert await check_history(visits, client, run) == {Cause.TRIGGER: 1, Cause.TIMEOUT: 1}


async def check_ticks(client: Client[Stage, StageStatus]) -> None:
    """Check that the schedule goes on, and that each of its ticks has made one run."""
    ticks: list[Run[Stage, StageStatus]] = []

    async def several() -> bool:
        ticks[:] = [
            run
            async for run in client.runs(run_state=RunState.COMPLETED)
            if run.foreign_id.startswith(TICKS)
        ]
        return len(ticks) >= 2

    await eventually(several, "the schedule triggers nothing")
    for run in ticks:  # no other run has its foreign id
        assert await check_history(stages, client, run) == {Cause.TRIGGER: 1, Cause.STEP: 1}


@pytest.mark.timeout(120)
async def test_a_caller_gets_one_answer_though_the_actor_that_works_on_it_is_killed(
    deployment: Deployment, tmp_path: Path
) -> None:
    async with Runtime.ray(questions, records=deployment.records) as runtime:
        asked = Questions(runtime.client(questions), tmp_path / "attempts")
        before = (await deployment.pids())[CONSUMER]
        await asked.call("one", "two", "three")
        await eventually(lambda: asked.begun(before), "no attempt begins")
        actors.find(CONSUMER, actors.namespace_of(place_of(deployment.records))).kill()
        await asked.check()
        await asked.call(DEADLY)  # whose function ends its process
        await asked.check()


@dataclass
class Questions:
    """Questions whose callers wait for the answers, each with a run of its own."""

    client: Client[Question, QuestionStatus]
    journal: Path
    calls: "dict[str, asyncio.Task[Run[Question, QuestionStatus]]]" = field(
        default_factory=dict[str, "asyncio.Task[Run[Question, QuestionStatus]]"]
    )

    async def call(self, *foreign_ids: str) -> None:
        """Trigger runs, and begin to send each a message."""
        for foreign_id in foreign_ids:
            await self.client.trigger(foreign_id, Question(journal=str(self.journal)))
            self.calls[foreign_id] = asyncio.create_task(self.send(foreign_id))

    async def send(self, foreign_id: str) -> Run[Question, QuestionStatus]:
        return await self.client.callback(
            reply,
            foreign_id,
            Answer(text=foreign_id),
            timeout=SOON,
            idempotency_key=f"reply-{foreign_id}",
        )

    async def begun(self, pid: int) -> bool:
        """Whether this process has begun the first attempt for each run, and no other has."""
        return all(noted(self.journal, foreign_id) == [pid] for foreign_id in self.calls)

    async def check(self) -> None:
        """Check that each caller gets one answer, of the second process that has tried it."""
        for foreign_id, call in self.calls.items():
            run = await call
            assert (run.status, run.data.answers) == (QuestionStatus.ANSWERED, [foreign_id])
            again = await self.send(foreign_id)
            assert (again.run_id, again.version, again.data) == (run.run_id, run.version, run.data)
            assert await check_history(questions, self.client, run) == ONE_ANSWER
            assert len(set(noted(self.journal, foreign_id))) == 2
