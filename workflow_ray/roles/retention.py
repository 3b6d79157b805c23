"""The part of the data role that removes what a workflow's retention keeps no longer."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from workflow_ray.definition import Retention
from workflow_ray.definition.durations import seconds_of
from workflow_ray.engine.retention import (
    DAY,
    EPOCH,
    MINUTE,
    Rule,
    decide_page,
    removed_text,
    rules_of,
)
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    Committed,
    Fence,
    Record,
    Removal,
    RunId,
    RunQuery,
    WriteGroup,
    run_id_at,
)
from workflow_ray.roles.fencing import store_fenced
from workflow_ray.roles.waiting import Interruptible

T = TypeVar("T")
log = logging.getLogger(__name__)

PAGE = 500
"""The most runs that are read at once."""
BATCH = 50
"""The most runs that one commit removes, so that it is short."""
BUSY = 2.0
"""A commit is followed by a pause that is this many times as long, so that others have the store
most of the time.
"""
BREATH = 0.02
"""The least pause between two commits, in seconds."""
LONGEST_PAUSE = 60.0
"""Seconds. A commit that took longer has waited for a store that could not be reached."""
KEYS = "keys"
"""The field of Retention that has no rule."""
REPORT = 10.0
"""Seconds between two lines of the log about one look."""


@dataclass(eq=False)
class _Progress:
    """How far a rule is. It is lost with the role: the next holder begins at the oldest run."""

    rule: Rule
    due: float = 0.0  # the monotonic time of the next look
    sweep_due: float = 0.0  # that of the next look that begins at the oldest run
    reached: RunId | None = None  # where the next look between begins
    since: datetime = EPOCH  # runs whose last version is older are done, up to this one:
    seen: RunId = RunId("")


class RetentionWork:
    """Removes runs, histories and keys of one workflow, in small commits with pauses between.

    Each commit removes runs whole, so whatever becomes of the role, a run is there or gone.

    Args:
        workflow: The workflow's name.
        retention: What it keeps.
        fence: The role's.
        records: The store.
        clock: Measures waits. Ages are by the store's clock.
    """

    def __init__(
        self,
        workflow: str,
        retention: Retention,
        fence: Fence,
        records: RecordStore,
        clock: Clock,
    ) -> None:
        self._workflow = workflow
        self._fence = fence
        self._records = records
        self._clock = clock
        self._rules = [_Progress(rule) for rule in rules_of(retention)]
        self._keys = None if retention.keys is None else seconds_of("keys", retention.keys)
        self._keys_due = 0.0  # the monotonic time
        # by field of Retention, since the role began; all names are there from the start, because
        # other threads read it
        self._all = dict.fromkeys((*(each.rule.name for each in self._rules), KEYS), 0)
        self._removed = 0  # by the look in hand
        self._reported_at = 0.0

    def removed(self) -> dict[str, int]:
        """Return how many runs, histories or keys were removed, by field of Retention. Those with
        none are left out.
        """
        return {name: number for name, number in self._all.items() if number}

    async def run(self, stop: asyncio.Event) -> None:
        """Remove what is too old until `stop`. Raises RoleLost."""
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                await until_stopped.wait(self._look)
                await self._clock.wait(stop, self._until_due())

    def _until_due(self) -> float:
        dues = [progress.due for progress in self._rules]
        if self._keys is not None:
            dues.append(self._keys_due)
        return max(0.0, min(dues) - self._clock.monotonic())

    async def _look(self) -> None:
        for progress in self._rules:
            if progress.due <= self._clock.monotonic():
                await self._apply(progress)
        if self._keys is not None and self._keys_due <= self._clock.monotonic():
            await self._forget_keys(self._keys)

    # --- runs and histories ---------------------------------------------------------------------

    async def _apply(self, progress: _Progress) -> None:
        """Remove what a rule finds, and note when it may find more."""
        rule, now = progress.rule, await self._now()
        self._begin()
        is_sweep = progress.sweep_due <= self._clock.monotonic()
        after = None if is_sweep else progress.reached
        if is_sweep:
            progress.sweep_due = self._clock.monotonic() + rule.sweeps
        next_at, seen = None, RunId("")
        while page := await self._page(rule, after):
            decided = decide_page(rule, page, now, progress.since, progress.seen)
            await self._remove(rule, decided.old)
            progress.reached = decided.reached or progress.reached
            after, next_at, seen = decided.after, decided.next_at, page[-1].run_id
            if after is None:
                break
        if is_sweep:
            progress.since, progress.seen = rule.before(now), seen
        self._report(rule.name, is_over=True)
        seconds = rule.age if next_at is None else (next_at - now).total_seconds()
        due = self._clock.monotonic() + max(seconds, rule.every)
        progress.due = min(due, max(progress.sweep_due, self._clock.monotonic() + rule.every))

    async def _page(self, rule: Rule, after: RunId | None) -> list[Record]:
        query = RunQuery(
            workflow=self._workflow, run_states=rule.run_states, after=after, limit=PAGE
        )
        return await self._persist(lambda: self._records.runs(query))

    async def _remove(self, rule: Rule, runs: tuple[RunId, ...]) -> None:
        for start in range(0, len(runs), BATCH):
            await self._commit(rule.name, rule.removal(self._workflow, runs[start : start + BATCH]))
            self._report(rule.name)

    # --- keys -----------------------------------------------------------------------------------

    async def _forget_keys(self, age: float) -> None:
        """Forget the keys of runs that were created so long ago and do not exist any more."""
        rule = Rule(KEYS, (), age, is_whole=True)
        self._begin()
        below, after = run_id_at(rule.before(await self._now())), ""
        while True:
            removal = Removal(workflow=self._workflow, keys_below=below, keys_after=after)
            committed = await self._commit(KEYS, removal)
            self._report(rule.name)
            after = committed.keys_left[0] if committed.keys_left else ""
            if not any(committed.removed) or (committed.keys_left and not after):
                break
        self._report(rule.name, is_over=True)
        self._keys_due = self._clock.monotonic() + min(max(age / 10, MINUTE), DAY)

    # --- commits --------------------------------------------------------------------------------

    async def _commit(self, name: str, removal: Removal) -> Committed:
        """Remove something, and pause."""
        start = self._clock.monotonic()
        group = WriteGroup(removals=(removal,), fence=self._fence)
        committed = await store_fenced(self._records, group, self._clock)
        taken = self._clock.monotonic() - start
        removed = sum(committed.removed)
        self._removed += removed
        self._all[name] += removed
        if removed:
            pause = min(max(BUSY * taken, BREATH), LONGEST_PAUSE)
            await self._clock.wait(asyncio.Event(), pause)
        return committed

    def _begin(self) -> None:
        self._removed = 0
        self._reported_at = self._clock.monotonic()

    def _report(self, name: str, *, is_over: bool = False) -> None:
        """Log how much was removed: now and then, and at the end."""
        now = self._clock.monotonic()
        if not self._removed or (not is_over and now < self._reported_at + REPORT):
            return
        self._reported_at = now
        log.info(
            "%s: retention has removed %s%s",
            self._workflow,
            removed_text(self._removed, name),
            "" if is_over else " so far",
            extra={"role": self._fence.role},
        )

    async def _now(self) -> datetime:
        """Return the time by the store's clock."""
        return (await self._persist(lambda: self._records.activity(limit=1))).now

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        return await persist(call, self._clock, self._fence.role)
