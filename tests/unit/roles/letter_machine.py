"""Drives letters through days, while the roles that remove what is old die and move."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.unit.roles.letter_keys import Call, Keys, Taken
from tests.unit.roles.letter_pasts import LATE, TENTH, Pasts
from tests.unit.roles.letters import DAY, Answer, Letter, Letters, Post
from tests.unit.roles.simulation import PICK, TURNS, Simulation
from workflow_ray import Client
from workflow_ray.errors import ControlRefused, DataDeleted, InvalidInput, RunActive, RunNotFound
from workflow_ray.records import Record, Role, RunQuery, data_group

NUMBERS = st.integers(0, 8)
"""Of keys. Each stands for the same name and data each time."""
ENDS: Sequence[Literal["sent", "lost", "open"]] = ("sent", "lost", "open")
ANSWERS = st.integers(0, 2)
"""Of the keys of callbacks. Each is for the same name each time."""
DAYS = st.sampled_from([0.02, 0.3, 0.6, 1.0, 2.0, 4.5])


def name_of(number: int) -> str:
    return "abc"[number % 3]


class LetterMachine(Simulation):
    """Triggers, answers and ends letters, and repeats it all days later."""

    expected = (ControlRefused, DataDeleted, InvalidInput, RunActive, RunNotFound)
    rest = 700.0  # ten minutes lie between two looks of retention at most

    @initialize(seed=st.integers(0, 2**32), numbers=st.lists(NUMBERS, min_size=2, max_size=4))
    def begin(self, seed: int, numbers: list[int]) -> None:
        self._do(self._begin(random.Random(seed)))
        self._is_fine = True
        for number in numbers:
            self.trigger(number, "raise")

    async def _begin(self, rng: random.Random) -> None:
        self._letters = Letters(self._clock, rng)
        await self._open([[self._letters.letters]], rng)
        self._pasts = Pasts(self._store)
        self._keys = Keys(self._store, self._pasts)

    @property
    def _client(self) -> Client[Letter, Post]:
        return Client(self._letters.letters, self._store, self._clock)

    # --- what users do --------------------------------------------------------------------------

    @rule(number=NUMBERS, if_active=st.sampled_from(["raise", "join", "replace"]))
    def trigger(self, number: int, if_active: Any) -> None:
        """Somebody triggers a run with a key, perhaps again."""
        self._do(self._trigger(number, if_active))

    async def _trigger(self, number: int, if_active: Any = "raise") -> None:
        key, data = f"key-{number}", Letter(ends=ENDS[number // 3])
        try:
            handle = await self._client.trigger(
                name_of(number), data, idempotency_key=key, if_active=if_active
            )
        except RunActive:
            await self._look()
            self._keys.refused(key, self._now)
        else:
            await self._look()
            self._keys.triggered(key, handle.run_id, handle.outcome, self._now)

    @rule(number=ANSWERS, then=st.sampled_from(["stay", "send"]), seconds=st.integers(0, 8))
    def trigger_and_answer(self, number: int, then: Any, seconds: int) -> None:
        self._do(self._trigger(6 + number, "replace"))
        self.pass_time(seconds)
        self.answer(number, then)
        self.pass_time(seconds)

    @rule(number=ANSWERS, then=st.sampled_from(["stay", "send"]))
    def answer(self, number: int, then: Any) -> None:
        """Somebody answers a letter, perhaps again with the same key."""
        sent = {call.answer.label: call.answer for call in self._keys.calls}
        label = f"answer-{number}"
        self._do(self._answer(name_of(number), sent.get(label, Answer(label=label, then=then))))

    async def _answer(self, name: str, answer: Answer) -> None:
        await self._look()

        async def send() -> Taken:
            payload = answer.model_dump_json().encode()
            client = self._client
            run = await client.callback("answer", name, payload, idempotency_key=answer.label)
            return run.run_id, run.version

        task = asyncio.create_task(send())
        expected = self._keys.expected(answer.label, self._now)
        self._keys.calls.append(Call(name, answer, task, expected))
        await asyncio.sleep(0)

    @rule(pick=PICK, verb=st.sampled_from(["cancel", "pause", "resume", "delete_data"]))
    def control(self, pick: int, verb: str) -> None:
        with suppress(ControlRefused, RunNotFound):
            if (record := self._any(pick)) is not None:
                self._do(self._control(record, verb))

    async def _control(self, record: Record, verb: str) -> None:
        handle = self._client.handle(record.run_id)
        if verb == "delete_data":
            await handle.delete_data()
        else:
            await getattr(handle, verb)("as the test wants it")

    @rule(pick=PICK, version=PICK)
    def fork(self, pick: int, version: int) -> None:
        """Somebody starts a run from a version of another one that may be gone."""
        with suppress(DataDeleted, InvalidInput, RunActive, RunNotFound):
            if (record := self._any(pick)) is not None:
                handle = self._client.handle(record.run_id)
                self._do(handle.fork(1 + version % record.version))

    def _any(self, pick: int) -> Record | None:
        runs = self._do(self._store.runs(RunQuery(workflow="letters", newest_first=True, limit=6)))
        return runs[pick % len(runs)] if runs else None

    # --- time, and what goes wrong --------------------------------------------------------------

    @rule(days=DAYS)
    def leap(self, days: float) -> None:
        """The machine sleeps for days."""
        self._do(self._look())
        self._jump(self._now + days * DAY)
        self._do(self._processes.pass_time(5.0))
        self._do(self._look())

    @rule(days=DAYS, steps=st.integers(0, 6), turns=TURNS, is_back=st.booleans())
    def crash_while_removing(self, days: float, steps: int, turns: int, is_back: bool) -> None:
        """The role that removes what is old dies while it does, or just before that."""
        self._do(self._look())
        self._jump(self._now + days * DAY)
        for _ in range(steps):
            self.pass_turns(turns)
        self._do(self._processes.crash(self._remover))
        if is_back:
            self._do(self._processes.take_over(self._remover))

    @rule(number=ANSWERS, days=st.lists(DAYS, min_size=1, max_size=3))
    def answer_days_later(self, number: int, days: list[float]) -> None:
        """Somebody repeats an answer after days, perhaps to another letter of the same name."""
        self.trigger_and_answer(number, "send", 8)
        for each in days:
            self.leap(each)
        self.trigger_and_answer(number, "send", 8)

    @property
    def _remover(self) -> Role:
        """The role that removes what is old."""
        return next(each for each in self._processes.roles if each.group == data_group("letters"))

    @property
    def _now(self) -> datetime:
        return self._clock.now()

    # --- what must hold -------------------------------------------------------------------------

    async def _look(self) -> None:
        await self._pasts.look(self._now)
        await self._keys.look(self._now)

    async def _check(self) -> None:
        self._processes.check()
        await self._look()
        await self._pasts.check_ages(self._now, TENTH)
        await self._processes.take_over(self._remover)  # it finds everything that is too old
        await self._processes.pass_time(LATE.total_seconds() + 1)
        await self._look()
        await self._pasts.check_ages(self._now, 0.0)
        self._keys.check_calls()
        self._keys.check_ages(self._now)
        for key, run_id in list(self._keys.runs.items()):
            live = self._keys.live(self._now)
            if key in live or self._pasts.must_be_forgotten(run_id, self._now):
                await self._check_key(key, live.get(key))

    async def _check_key(self, key: str, live: str | None) -> None:
        """A live key answers as before, and one that is too old starts a run."""
        number = int(key.removeprefix("key-"))
        before = self._keys.runs[key]
        await self._trigger(number, "replace")
        assert (self._keys.runs[key] == before) == (live is not None), (key, before, live)

    def _tasks(self) -> list[asyncio.Task[Taken]]:
        return [call.task for call in self._keys.calls]
