"""The ports, as transactions on the file."""

import fcntl
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from msgspec.structs import replace

from toyrecords.file import File
from toyrecords.message_reads import MessageReads
from toyrecords.parking import parked
from toyrecords.removals import carry_out
from toyrecords.selection import (
    awaited_event,
    by_run_id,
    due_order,
    family_of,
    is_asked_for,
    matches,
    page_of,
    prefix_of,
    share_limit,
)
from toyrecords.state import State
from toyrecords.transitions import Transitions
from workflow_ray.errors import StoreInUse
from workflow_ray.ports import Clock
from workflow_ray.records import (
    Activity,
    Awaits,
    Committed,
    DeployedWorkflow,
    Deployment,
    Fence,
    GroupResult,
    HistoryEntry,
    OutboxEntry,
    Parked,
    ParkedQuery,
    Position,
    Record,
    Role,
    RoleHolder,
    RunCount,
    RunId,
    RunQuery,
    Shared,
    Timeout,
    TimeoutKey,
    Topic,
    Version,
    Waiting,
    WaitingQuery,
    WriteGroup,
    asks_for,
    check_group,
)


class ToyStore(MessageReads):
    """A RecordStore, RoleScheduler and TimeoutStore. Events are in another store."""

    def __init__(self, file: File, clock: Clock, store_id: str) -> None:
        super().__init__(file, clock)
        self.store_id = store_id
        self._delayed_first = False

    # --- RecordStore: writes --------------------------------------------------------------------

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        for group in groups:
            check_group(group)
        with self._file.transaction() as state:
            transitions = Transitions(state, self._clock.now())
            answers = [transitions.commit(group) for group in groups]
            return [
                replace(
                    answer,
                    removed=tuple(carry_out(state, removal) for removal in group.removals),
                )
                if isinstance(answer, Committed)
                else answer
                for group, answer in zip(groups, answers, strict=True)
            ]

    async def pending(
        self,
        fence: Fence,
        *,
        limit: int,
        wait: float,
        without: Sequence[tuple[Topic, int]] = (),
        timeouts_only: bool = False,
    ) -> list[OutboxEntry]:
        def look(state: State) -> list[OutboxEntry]:
            state.check(fence)
            due = [
                entry
                for entry in state.outbox
                if entry.due_at is None or entry.due_at <= self._clock.now()
            ]
            asked = [entry for entry in due if is_asked_for(entry, without, timeouts_only)]
            return share_limit(asked, limit, delayed_first=self._delayed_first)

        # in turns, so that a limit of one starves neither
        self._delayed_first = not self._delayed_first
        return await self._file.poll(look, self._clock, wait)

    async def published(self, fence: Fence, ids: Sequence[int]) -> None:
        with self._file.transaction() as state:
            state.check(fence)
            state.outbox = [entry for entry in state.outbox if entry.id not in ids]

    async def deployment(self, *, newer_than: int | None = None, wait: float = 0.0) -> Deployment:
        def look(state: State) -> list[Deployment]:
            return (
                [state.deployment]
                if newer_than is None or state.deployment.version > newer_than
                else []
            )

        for found in await self._file.poll(look, self._clock, wait):
            return found
        with self._file.transaction() as state:
            return state.deployment

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        with self._file.transaction() as state:
            return state.deploy(expected, workflows)

    # --- RecordStore: questions -----------------------------------------------------------------

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        with self._file.transaction() as state:
            return prefix_of([state.records.get(run_id) for run_id in run_ids])

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        with self._file.transaction() as state:
            newest = {
                record.foreign_id: record
                for record in by_run_id(state)
                if record.workflow == workflow
            }
        return [newest.get(foreign_id) for foreign_id in foreign_ids]

    async def runs(self, query: RunQuery) -> list[Record]:
        with self._file.transaction() as state:
            records, family = by_run_id(state), family_of(state, query)
        found = [
            record
            for record in records
            if matches(record, query) and (family is None or record.run_id in family)
        ]
        if query.newest_first:
            return page_of(
                [
                    record
                    for record in reversed(found)
                    if query.after is None or record.run_id < query.after
                ],
                query.limit,
            )
        return page_of(
            [record for record in found if query.after is None or record.run_id > query.after],
            query.limit,
        )

    async def counts(self, workflow: str) -> list[RunCount]:
        with self._file.transaction() as state:
            counts = Counter(
                (record.status, record.run_state)
                for record in state.records.values()
                if record.workflow == workflow
            )
        return [
            RunCount(status, run_state, runs)
            for (status, run_state), runs in sorted(counts.items())
        ]

    async def history(
        self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000
    ) -> list[HistoryEntry]:
        with self._file.transaction() as state:
            entries = state.history.get(run_id, [])
        return page_of([entry for entry in entries if entry.version > after], limit)

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        def look(state: State) -> list[Record]:
            newer = [
                record
                for record in by_run_id(state)
                if record.version > seen.get(record.run_id, record.version)
            ]
            return page_of(
                [record for record in newer if record.run_state.at_rest or not at_rest], len(seen)
            )

        return await self._file.poll(look, self._clock, wait)

    async def positions(self, group: str) -> list[Position]:
        with self._file.transaction() as state:
            return [position for _, position in sorted(state.positions.get(group, {}).items())]

    async def waiting(self, query: WaitingQuery) -> Waiting:
        with self._file.transaction() as state:
            since = self._clock.now() - timedelta(seconds=query.quiet)
            woken = {entry.event.run_id for entry in state.outbox if entry.event}
            places = [
                record
                for record in by_run_id(state)
                if (record.workflow, record.partition) == (query.workflow, query.partition)
            ]
        asked = [
            record
            for record in places
            if record.awaits is Awaits.EVENT and record.run_id > (query.after or "")
        ]
        looked_at = asked[: query.limit]
        quiet = [
            record
            for record in looked_at
            if record.updated_at <= since and record.run_id not in woken
        ]
        after = looked_at[-1].run_id if len(asked) > query.limit else None
        return Waiting(events=tuple(awaited_event(record) for record in quiet), after=after)

    async def parked(self, query: ParkedQuery, *, wait: float = 0.0) -> Parked:
        def look(state: State) -> Parked | None:
            found = parked(state, query, self._clock.now())
            return None if found.change == query.seen else found

        if changed := await self._file.poll(look, self._clock, wait):
            return changed
        with self._file.transaction() as state:
            return parked(state, query, self._clock.now())

    async def activity(
        self, *, limit: int = 500, steps: Mapping[RunId, Version] | None = None
    ) -> Activity:
        now = self._clock.now()
        with self._file.transaction() as state:
            holders = [
                RoleHolder(role=name, epoch=held.epoch, worker=held.worker, until=held.until)
                for name, held in sorted(state.holdings.items())
                if held.until and held.until > now
            ]
            delayed = [
                entry
                for entry in state.outbox
                if entry.due_at is not None
                and entry.due_at > now
                and (steps is None or asks_for(entry, steps))
            ]
        delayed.sort(key=lambda entry: (entry.due_at, entry.id))
        return Activity(
            now=now,
            is_served=self._is_served(),
            holders=tuple(holders),
            delayed=tuple(delayed[:limit]),
        )

    def _is_served(self) -> bool:
        try:
            with self._file.locked("served", fcntl.LOCK_SH | fcntl.LOCK_NB):
                return False
        except BlockingIOError:
            return True

    # --- RoleScheduler --------------------------------------------------------------------------

    async def acquire(self, role: Role) -> Fence:
        with self._file.transaction() as state:
            return state.acquire(role)

    async def release(self, fence: Fence) -> None:
        with self._file.transaction() as state:
            state.release(fence)

    async def share(
        self, worker: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float
    ) -> Shared:
        try:
            with (
                self._file.locked("served", fcntl.LOCK_SH | fcntl.LOCK_NB),
                self._file.transaction() as state,
            ):
                now = self._clock.now()
                return state.share(
                    worker, roles, held, now=now, until=now + timedelta(seconds=lease)
                )
        except BlockingIOError:
            raise StoreInUse(
                str(self._file.path), "a process has it exclusively: none of its roles are shared."
            ) from None

    async def leave(self, worker: str) -> None:
        with self._file.transaction() as state:
            state.leave(worker)

    # --- TimeoutStore ---------------------------------------------------------------------------

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        with self._file.transaction() as state:
            for timeout in timeouts:
                state.create(timeout)

    async def due(
        self,
        workflow: str,
        status: int,
        partitions: Collection[int],
        *,
        limit: int,
        wait: float,
        after: Timeout | None = None,
    ) -> list[Timeout]:
        def look(state: State) -> list[Timeout]:
            mine = [
                timeout
                for timeout in state.timeouts
                if (timeout.workflow, timeout.status) == (workflow, status)
            ]
            due = [
                timeout
                for timeout in mine
                if timeout.partition in partitions and timeout.due_at <= self._clock.now()
            ]
            unfinished = sorted(
                (timeout for timeout in due if timeout.key not in state.completed_keys()),
                key=due_order,
            )
            return [
                timeout
                for timeout in unfinished
                if after is None or due_order(timeout) > due_order(after)
            ][:limit]

        return await self._file.poll(look, self._clock, wait)

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        with self._file.transaction() as state:
            state.complete(keys, self._clock.now())

    async def trim_timeouts(self, *, completed: float, limit: int) -> int:
        with self._file.transaction() as state:
            before = self._clock.now() - timedelta(seconds=completed)
            old = [done[0] for done in state.completed if done[1] <= before]
            return state.forget(set(old[:limit]))
