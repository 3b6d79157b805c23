"""The admission of the runs that are parked at one status."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from workflow_ray.engine.admission import Choice, Turn, choose, has_room, retry_at
from workflow_ray.engine.next_version import Next
from workflow_ray.engine.rates import Rates, moment, passed
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    Awaits,
    Fence,
    FlowLimits,
    Parked,
    ParkedKey,
    ParkedQuery,
    Record,
    Stored,
    Write,
    WriteGroup,
    admission_group,
    new_write_id,
)
from workflow_ray.roles.fencing import store_fenced
from workflow_ray.roles.waiting import LONG_POLL, Interruptible

T = TypeVar("T")
log = logging.getLogger(__name__)

BATCH = 500
"""The most runs that one commit admits."""
KEYS, PER_KEY = 100, 20
"""The keys of a page, and the most runs of each, as long as no key has room for more."""
PAGE = 2_000
"""The most runs of a page."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.01, 1.0
"""Seconds between a look that admits nothing and the next one, which begins when the store tells of
a change. The pause is as long as the look took, within these limits.
"""


class StatusAdmission:
    """Admits the runs that are parked at one status, as far as its limits allow.

    Slots are counted by the store, and only this role fills them, so they are never exceeded. What
    rates count is stored with the admissions.

    Args:
        workflow: The name of the workflow.
        status: The number of the status.
        limits: Those that apply now.
        rates: What its rates count.
        fence: The role's.
        records: The store.
        clock: Measures waits.
    """

    def __init__(
        self,
        workflow: str,
        status: int,
        limits: FlowLimits,
        rates: Rates,
        fence: Fence,
        records: RecordStore,
        clock: Clock,
    ) -> None:
        self._workflow = workflow
        self._status = status
        self._limits = limits
        self._rates = rates
        self._fence = fence
        self._records = records
        self._clock = clock
        self._after: str | None = None  # the key that was served last
        self._per_key = PER_KEY
        self._waiting: Interruptible | None = None

    def set_limits(self, limits: FlowLimits) -> None:
        """Let other limits apply from now on."""
        if limits != self._limits:
            self._limits = limits
            if self._waiting is not None:
                self._waiting.cut()

    async def run(self, stop: asyncio.Event) -> None:
        """Admit runs until `stop`. A commit in hand is finished. Raises RoleLost."""
        limits, wait = self._limits, 0.0
        seen: int | None = None
        async with Interruptible(stop) as self._waiting:
            while not stop.is_set():
                if limits != self._limits:  # then nothing need have changed in the store
                    limits, seen = self._limits, None
                first = await self._waiting.wait(
                    partial(self._read, self._after, seen=seen, wait=wait)
                )
                if first is None:
                    continue
                begun = self._clock.monotonic()
                is_any, wait = await self._admit(first, limits)
                seen = first.change
                if not is_any and (took := self._clock.monotonic() - begun) > 0:
                    pause = min(max(took, SHORTEST_PAUSE), LONGEST_PAUSE)
                    await self._clock.wait(stop, pause)

    async def look(self, stop: asyncio.Event) -> None:
        """Admit what can be admitted now, until `stop`."""
        while not stop.is_set():
            is_any, wait = await self._admit(await self._read(self._after), self._limits)
            if wait > 0:
                return
            if not is_any:
                await self._clock.wait(stop, SHORTEST_PAUSE)

    async def _admit(self, first: Parked, limits: FlowLimits) -> tuple[bool, float]:
        """Admit runs once.

        Returns:
            Whether any was admitted, and the seconds until the next look, if nothing changes.
        """
        now, made_at = passed(first.now), moment(first.now.timestamp())
        self._rates.begin(made_at)
        found = await self._in_turn(first, limits, now)
        choice = choose(
            [each for each in found if has_room(each, limits, self._rates, now)],
            first.admitted,
            limits,
            self._rates,
            now=now,
            most=BATCH,
            per_key=self._per_key,
        )
        count, late = 0, 0
        if choice.turns:
            count, late = await self._commit(choice.turns, limits, made_at)
        if late:  # such a run may still be parked, and then the store tells of no change
            return count > 0, 0.0
        return count > 0, self._until_next(choice, found, limits, count, now)

    def _until_next(
        self, choice: Choice, found: Sequence[ParkedKey], limits: FlowLimits, count: int, now: int
    ) -> float:
        if choice.is_cut and count < BATCH:
            self._per_key = min(self._per_key * 5, BATCH)
        elif not choice.is_cut:
            self._per_key = PER_KEY
        if choice.is_cut or 0 < count < len(choice.turns):
            return 0.0
        at = retry_at(found, limits, self._rates, now)
        return LONG_POLL if at is None else min(max(at - now, 1) / 1000, LONG_POLL)

    # --- reading --------------------------------------------------------------------------------

    async def _read(
        self, after: str | None, *, seen: int | None = None, wait: float = 0.0
    ) -> Parked:
        query = ParkedQuery(
            workflow=self._workflow,
            status=self._status,
            after=after,
            keys=max(min(KEYS, PAGE // self._per_key), 1),
            per_key=self._per_key,
            seen=seen,
        )
        return await self._persist(lambda: self._records.parked(query, wait=wait))

    async def _in_turn(self, first: Parked, limits: FlowLimits, now: int) -> list[ParkedKey]:
        """Read the keys with runs, the one whose turn is next first.

        No more are read than there are free slots, because each key with room gets one slot before
        any gets two.
        """
        slots = BATCH
        if limits.concurrency is not None:
            slots = min(max(limits.concurrency - first.admitted, 0), BATCH)
        found: dict[str, ParkedKey] = {}
        async for page in self._pages(first):
            is_whole = any(each.key in found for each in page.keys)
            for each in page.keys:
                if found.setdefault(each.key, each) is each:
                    slots -= has_room(each, limits, self._rates, now)
            if is_whole or slots <= 0:
                break
        return list(found.values())

    async def _pages(self, first: Parked) -> AsyncIterator[Parked]:
        """Read the pages after the first one, and then those from the first key on."""
        page = first
        yield page
        while page.more and page.keys:
            page = await self._read(page.keys[-1].key)
            yield page
        if self._after is None:
            return
        page = await self._read(None)
        yield page
        while page.more and page.keys:
            page = await self._read(page.keys[-1].key)
            yield page

    # --- writing --------------------------------------------------------------------------------

    async def _commit(self, turns: Sequence[Turn], limits: FlowLimits, now: int) -> tuple[int, int]:
        """Admit these runs, as many as the store returns at once.

        Returns:
            Their number, and that of the runs that others have changed meanwhile.
        """
        ids = [turn.run_id for turn in turns]
        records = await self._persist(lambda: self._records.lookup(ids, fresh=True))
        pairs = [
            (turn, self._write(record))
            for turn, record in zip(turns, records, strict=False)
            if record is not None and self._is_parked(record)
        ]
        if not pairs:
            return 0, 0
        keys = [turn.key for turn, _ in pairs]
        group = WriteGroup(
            writes=tuple(write for _, write in pairs),
            set_aside=tuple(
                self._rates.admit(admission_group(self._workflow), self._status, limits, keys, now)
            ),
            fence=self._fence,
        )
        answer = await store_fenced(self._records, group, self._clock)
        self._after = keys[-1]
        late = [
            turn.key
            for (turn, _), result in zip(pairs, answer.results, strict=True)
            if not isinstance(result, Stored)
        ]
        self._rates.take_back(limits, late, now)
        return len(pairs) - len(late), len(late)

    def _write(self, record: Record) -> Write:
        return Next(record, self._fence.role, new_write_id()).admit()

    def _is_parked(self, record: Record) -> bool:
        return (
            record.parked
            and record.status == self._status
            and record.awaits in (Awaits.PARKED, Awaits.EVENT)
        )

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        return await persist(call, self._clock, self._fence.role)
