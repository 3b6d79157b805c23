"""Drives trips, and what goes wrong meanwhile, in an order that hypothesis chooses."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.unit.roles.simulation import PICK, TURNS
from tests.unit.roles.trip_checks import Sent
from tests.unit.roles.trip_crowds import CrowdRules
from tests.unit.roles.trip_data import Plan, Word
from tests.unit.roles.trip_plans import NAMES, PLANS, THEN
from workflow_ray.errors import (
    CallbackError,
    CallbackExpired,
    CallbackFailed,
    CallbackTooLate,
    RunNotFound,
)
from workflow_ray.records import MessageOutcome, MessageQuery

BY_TIME = ("-timeout-consumer", "-scheduler")  # the ends of the groups' names
OUTCOMES: dict[type[BaseException], MessageOutcome] = {
    CallbackFailed: MessageOutcome.FAILED,
    CallbackExpired: MessageOutcome.EXPIRED,
    CallbackTooLate: MessageOutcome.PASSED,
}


@dataclass
class Calls:
    """The calls of one callback: the first one, and its repeats with the same key."""

    sent: Sent
    foreign_id: str
    word: Word
    tasks: list[asyncio.Task[int]] = field(default_factory=list[asyncio.Task[int]])


class TripMachine(CrowdRules):
    """Runs trips in processes that die, are stopped and continued, and lose their roles."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Calls] = []

    # --- what users do --------------------------------------------------------------------------

    @rule(name=NAMES, plan=PLANS, then=THEN, seconds=st.sampled_from([0.0, 0.1, 0.5, 6.0]))
    def trigger_and_call(self, name: str, plan: Plan, then: Any, seconds: float) -> None:
        self.trigger(name, plan)
        self.pass_time(seconds)
        self._call("trips", "go", name, then)

    @rule(pick=PICK, function=st.sampled_from(["go", "go", "hurry"]), then=THEN)
    def call_trip(self, pick: int, function: str, then: Any) -> None:
        trips = self._unfinished("trips")
        name = trips[pick % len(trips)].foreign_id if trips else "a"
        self._call("trips", function, name, then)

    @rule(then=st.lists(THEN, min_size=2, max_size=3), turns=TURNS)
    def call_all(self, then: list[Any], turns: int) -> None:
        """Several callers call each trip at the same time."""
        for trip in self._unfinished("trips"):
            for each in then:
                self._call("trips", "go", trip.foreign_id, each)
            self.pass_turns(turns)

    @rule(pick=PICK, then=THEN)
    def call_box(self, pick: int, then: Any) -> None:
        if boxes := self._unfinished("boxes"):
            self._call("boxes", "free", boxes[pick % len(boxes)].foreign_id, then)

    @rule(pick=PICK, gives_up=st.booleans())
    def repeat_call(self, pick: int, gives_up: bool) -> None:
        """A caller calls again with its key, perhaps after it has given up."""
        if self._calls:
            calls = self._calls[pick % len(self._calls)]
            if gives_up:
                calls.tasks[-1].cancel()
            self._send(calls)

    def _call(self, workflow: str, function: str, name: str, then: Any) -> None:
        word = Word(label=f"word-{len(self._calls)}", then=then)
        self._calls.append(Calls(Sent(workflow, function, word.label), name, word))
        self._send(self._calls[-1])

    def _send(self, calls: Calls) -> None:
        client = self._client(self._workflow(calls.sent.workflow))

        async def send() -> int:
            payload = calls.word.model_dump_json().encode()
            run = await client.callback(
                calls.sent.name, calls.foreign_id, payload, idempotency_key=calls.sent.label
            )
            return run.version

        calls.tasks.append(self._loop.create_task(send()))
        self._do(asyncio.sleep(0))

    # --- time, and what goes wrong --------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
    def pass_some_time(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule(seconds=st.sampled_from([3.0, 5.0, 10.0, 60.0, 3600.0]))
    def sleep(self, seconds: float) -> None:
        """The machine sleeps: its clock jumps."""
        self._jump(self._clock.now() + timedelta(seconds=seconds))

    @rule(steps=st.integers(1, 10), turns=st.integers(0, 40))
    def crash_when_due(self, steps: int, turns: int) -> None:
        """All roles that work by the time die just when something is due."""
        for _ in range(steps):
            for deadline in self._clock.deadlines()[:1]:
                self._jump(deadline)
            self.pass_turns(turns)
        for role in self._processes.roles:
            if role.group.endswith(BY_TIME):
                self._do(self._processes.crash(role))

    # --- what must hold -------------------------------------------------------------------------

    async def _check(self) -> None:
        self._processes.check()
        newest = self._codes[self._processes.newest].version
        await self._checks.check([calls.sent for calls in self._calls], newest)
        for calls in self._calls:
            await self._check_answers(calls)
        await self._check_jobs()

    async def _check_answers(self, calls: Calls) -> None:
        """All callers have the same answer, which is what became of the message."""
        found = await self._store.messages(MessageQuery(keys=(calls.sent.key,)))
        for task in calls.tasks:
            if not found or found[0].outcome is None or task.cancelled():
                continue
            assert task.done(), f"{calls.sent} is settled, and its caller waits"
            match task.exception():
                case None:
                    assert found[0].outcome is MessageOutcome.TAKEN, found
                    assert task.result() == found[0].version, (task, found)
                case CallbackError() as error if len(calls.tasks) == 1:
                    assert found[0].outcome is OUTCOMES[type(error)], (error, found)
                case CallbackError() | RunNotFound():
                    pass  # another of the calls may have found the run at another status
                case error:
                    raise error

    def _tasks(self) -> list[asyncio.Task[int]]:
        return [task for calls in self._calls for task in calls.tasks]
