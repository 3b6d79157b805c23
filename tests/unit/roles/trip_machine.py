"""Drives trips, and what goes wrong meanwhile, in an order that hypothesis chooses."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    rule,
    run_state_machine_as_test,
)

from tests.unit.roles.trip_base import Open
from tests.unit.roles.trip_checks import Sent
from tests.unit.roles.trip_deletions import DeletionRules
from tests.unit.roles.trip_plans import (
    NAMES,
    PICK,
    PLANS,
    THEN,
    TURNS,
)
from tests.unit.roles.trips import Trip, Word
from workflow_ray.errors import (
    CallbackError,
    CallbackExpired,
    CallbackFailed,
    CallbackTooLate,
    RunNotFound,
)
from workflow_ray.records import MessageOutcome, MessageQuery, Role
from workflow_ray.testing import FakeClock

BY_TIME = ("-timeout-consumer", "-scheduler")  # the ends of the groups' names
LONG = 400.0
"""Seconds in which everything that is under way comes to its end."""
REAL = 0.05
"""Seconds of real time that the threads of a store get before another check."""
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
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


class TripMachine(DeletionRules):
    """Runs trips in processes that die, are stopped and continued, and lose their roles."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Calls] = []

    # --- what users do --------------------------------------------------------------------------

    @rule(name=NAMES, plan=PLANS, then=THEN, seconds=st.sampled_from([0.0, 0.1, 0.5, 6.0]))
    def trigger_and_call(self, name: str, plan: Trip, then: Any, seconds: float) -> None:
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

    def _jump(self, to: datetime) -> None:
        async def jump() -> None:
            self._clock.jump(to)

        self._do(jump())

    @rule(pick=PICK, is_back=st.booleans(), turns=TURNS)
    def crash(self, pick: int, is_back: bool, turns: int) -> None:
        self.pass_turns(turns)
        role = self._role(pick)
        self._do(self._processes.crash(role))
        if is_back:
            self._do(self._processes.take_over(role))

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

    @rule(pick=PICK, stopped=st.booleans(), turns=TURNS)
    def fail_over(self, pick: int, stopped: bool, turns: int) -> None:
        self.pass_turns(turns)
        self._do(self._processes.take_over(self._role(pick), stopped=stopped))

    @rule(pick=PICK)
    def leave(self, pick: int) -> None:
        self._do(self._processes.leave(self._role(pick)))

    @rule(are_all=st.booleans())
    def recover(self, are_all: bool) -> None:
        """Continue what is stopped, and perhaps start what has died or left."""
        self._processes.go_on()
        if are_all:
            self._do(self._processes.recover())

    def _role(self, pick: int) -> Role:
        return self._processes.roles[pick % len(self._processes.roles)]

    # --- what must hold -------------------------------------------------------------------------

    @rule(is_time=st.sampled_from([False, False, False, True]))
    def come_to_rest(self, is_time: bool) -> None:
        if is_time:
            self._do(self._come_to_rest())

    async def _come_to_rest(self) -> None:
        await self._processes.recover()
        await self._processes.pass_time(LONG)
        for _ in range(type(self).patience):
            with suppress(AssertionError):
                await self._check()
                return
            await asyncio.sleep(REAL)
            await self._processes.pass_time(1.0)
        await self._check()

    async def _check(self) -> None:
        self._processes.check()
        await self._checks.check([calls.sent for calls in self._calls])
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

    def teardown(self) -> None:
        try:
            if self._is_fine:
                self._do(self._come_to_rest())
        finally:
            self._loop.run_until_complete(self._end())
            self._loop.close()
            self._patch.undo()

    async def _end(self) -> None:
        tasks = [task for calls in self._calls for task in calls.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._stack.aclose()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for each in left:
            each.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def run_machine(
    opening: Open,
    seed: int,
    *,
    examples: int,
    steps: int,
    clock_class: type[FakeClock] = FakeClock,
    patience: int = 0,
    phases: Sequence[Phase] = tuple(Phase),
) -> None:
    """Run the machine on stores of one kind.

    Args:
        opening: Opens an empty store.
        seed: Chooses all examples.
        examples: How many runs of the machine.
        steps: The most rules of each.
        clock_class: The clock's.
        patience: How often a check may fail and is made again, because threads take real time.
        phases: What hypothesis does. Without a shrinking phase it shows the failure as it found it.
    """
    chosen = {
        "opening": staticmethod(opening),
        "clock_class": clock_class,
        "patience": patience,
    }
    machine = type("Trips", (TripMachine,), chosen)
    run_state_machine_as_test(
        hypothesis.seed(seed)(machine),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=phases,
            print_blob=False,
            report_multiple_bugs=False,
            suppress_health_check=SLOW,
        ),
    )
