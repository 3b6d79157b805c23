"""The keys of letters: what each of them was first used for, and what its repeats must get."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from tests.unit.roles.letter_pasts import Pasts
from tests.unit.roles.letters import Answer
from workflow_ray import TriggerOutcome
from workflow_ray.errors import CallbackError, RunNotFound
from workflow_ray.ports import Store
from workflow_ray.records import (
    MessageId,
    MessageKey,
    MessageKind,
    MessageOutcome,
    MessageQuery,
    RunId,
)

Taken = tuple[RunId, int]
"""A run, and the version of an answer."""


@dataclass
class Call:
    """A callback that was sent, perhaps again."""

    name: str  # the foreign id
    answer: Answer
    task: asyncio.Task[Taken]
    expected: Taken | None
    """What its key stood for when it was sent, if it may not have been forgotten."""


@dataclass
class Keys:
    """The keys of triggers and callbacks.

    Args:
        store: The store.
        pasts: What became of the runs.
    """

    store: Store
    pasts: Pasts
    runs: dict[str, RunId] = field(default_factory=dict[str, RunId])
    """The run that the key of a trigger stands for."""
    taken: dict[str, list[Taken]] = field(default_factory=dict[str, list[Taken]])
    """What took a callback, by its key: again only after the key was forgotten."""
    found: set[str] = field(default_factory=set[str])
    """The keys of callbacks that were taken, and not forgotten by the last look."""
    calls: list[Call] = field(default_factory=list[Call])

    def triggered(
        self, key: str, run_id: RunId, outcome: TriggerOutcome | None, now: datetime
    ) -> None:
        """Check the answer of a trigger with a key."""
        known = self.runs.get(key)
        if outcome is TriggerOutcome.KNOWN:
            assert run_id == known, f"{key} stood for {known}, and now for {run_id}"
            return
        self.refused(key, now)
        if outcome is TriggerOutcome.STARTED:
            self.runs[key] = run_id

    def refused(self, key: str, now: datetime) -> None:
        """Check that a trigger with this key need not have found its run."""
        known = self.runs.get(key)
        is_forgotten = known is None or self.pasts.may_be_forgotten(known, now)
        assert is_forgotten, f"{key} of {known} is forgotten at {now}"

    def live(self, now: datetime) -> dict[str, RunId]:
        """The keys of triggers that must stand for their run, with that."""
        return {
            key: run_id
            for key, run_id in self.runs.items()
            if not self.pasts.may_be_forgotten(run_id, now)
        }

    def expected(self, label: str, now: datetime) -> Taken | None:
        """What a callback with this key must get. None: it may be taken now."""
        taken = self.taken.get(label, [])
        return taken[-1] if taken and not self.pasts.may_be_forgotten(taken[-1][0], now) else None

    async def look(self, now: datetime) -> None:
        """Look at the messages of all callbacks. Raises AssertionError. The runs were looked at."""
        self.found.clear()
        for label in {call.answer.label for call in self.calls}:
            key = MessageKey("letters", MessageKind.CALLBACK, MessageId(label))
            found = await self.store.messages(MessageQuery(keys=(key,)))
            expected = self.expected(label, now)
            if not found or found[0].outcome is not MessageOutcome.TAKEN:
                assert expected is None, f"at {now}, {label} is {found}, and was {expected}"
                continue
            self.found.add(label)
            assert found[0].version is not None, found
            now_taken = found[0].run_id, found[0].version
            taken = self.taken.setdefault(label, [])
            if now_taken not in taken:
                assert expected is None, f"{label} was {expected}, and is {found}"
                taken.append(now_taken)

    def check_ages(self, now: datetime) -> None:
        """Check that no callback is kept for too long. The last look was now."""
        for label in self.found:
            run_id, _ = self.taken[label][-1]
            is_late = self.pasts.must_be_forgotten(run_id, now)
            assert not is_late, f"at {now}, {label} of {run_id} is kept"

    def check_calls(self) -> None:
        """Check the answers of all callbacks. Raises AssertionError."""
        for call in self.calls:
            if not call.task.done() or call.task.cancelled():
                continue
            match call.task.exception():
                case None:
                    self._check_answer(call, *call.task.result())
                case RunNotFound() | CallbackError() as error:
                    is_gone = call.expected is None or self.pasts.is_gone(call.expected[0])
                    assert is_gone, (call, error)
                case error:
                    raise error

    def _check_answer(self, call: Call, run_id: RunId, version: int) -> None:
        taken = self.taken.get(call.answer.label, [])
        possible = [call.expected] if call.expected is not None else taken
        least = min((each[1] for each in possible if each[0] == run_id), default=None)
        assert least is not None, f"{call} was answered by {run_id}, and not by {possible}"
        past = self.pasts.known[run_id]
        may_be_later = past.is_trimmed or past.gone_at is not None
        assert version == least or (version > least and may_be_later), (call, version, past)
