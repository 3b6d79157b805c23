"""What must hold of the runs of `trips`, whatever has died meanwhile."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from tests.unit.roles.trip_boxes import PARTITIONS
from tests.unit.roles.trip_flow import check_flow
from tests.unit.roles.trip_histories import (
    check_foreign_ids,
    check_gatherings,
    check_history,
)
from tests.unit.roles.trip_pasts import Noting, Past, past_of_deleted
from tests.unit.roles.trip_weights import check_reasons, check_weights
from tests.unit.roles.trips import AFTER, KEPT, Trips
from workflow_ray import Workflow
from workflow_ray.engine.schedules import between, foreign_id_of, ticks_of
from workflow_ray.ports import Store
from workflow_ray.records import (
    Awaits,
    Cause,
    Message,
    MessageId,
    MessageKey,
    MessageKind,
    MessageOutcome,
    MessageQuery,
    Record,
    RunId,
    RunQuery,
    RunState,
    WaitingQuery,
    WriteGroup,
    sort_inbox,
)
from workflow_ray.testing.clock import START

MANY = 100_000
SWEPT = 150.0
"""Seconds after which a run that is old enough is removed, at the latest."""


@dataclass(frozen=True)
class Sent:
    """A callback that the test has sent, perhaps several times with its key."""

    workflow: str
    name: str
    label: str  # its idempotency key too

    @property
    def key(self) -> MessageKey:
        return MessageKey(self.workflow, MessageKind.CALLBACK, MessageId(self.label))

    @property
    def note(self) -> str:
        return f"{self.name}:{self.label}"


class Checks:
    """Checks the runs at a time at which nothing is under way any more."""

    def __init__(self, trips: Trips, store: Store) -> None:
        self._trips = trips
        self._store = store
        self._pasts: dict[RunId, Past] = {}
        self._remembered: dict[RunId, Past] = {}  # finished runs, before their data was deleted

    async def remember(self, run_id: RunId) -> None:
        """Keep what the check needs of a finished run, whose data is to be deleted."""
        if run_id not in self._remembered:
            (record,) = await self._store.lookup([run_id])
            assert record is not None
            self._remembered[run_id] = await self._past(record)

    @property
    def pasts(self) -> Collection[Past]:
        """The runs, as the last check has read them."""
        return self._pasts.values()

    async def check(self, sent: Sequence[Sent], newest: int) -> None:
        """Check everything. Raises AssertionError.

        Args:
            sent: The callbacks that the test has sent.
            newest: The newest version of the data that was deployed.
        """
        assert not self._trips.faults, self._trips.faults
        await self._store.store([WriteGroup(expires=("trips", "boxes"))])
        self._pasts = {}
        for workflow in (*self._trips.workflows, self._trips.chimes):
            pasts = [
                await self._past(record)
                for record in await self._records(RunQuery(workflow=workflow.name))
            ]
            check_foreign_ids(pasts)
            for past in pasts:
                self._pasts[past.record.run_id] = past
                check_history(past, workflow)
                if workflow is not self._trips.chimes:
                    check_weights(past, newest)
            await self._check_events(workflow)
        await self._check_inboxes()
        for one in sent:
            await self._check_sent(one)
        for past in self._pasts.values():
            await self._check_timeouts(past)
            await self._check_children(past)
            check_gatherings(past)
            run_state = past.record.run_state
            assert run_state is not RunState.REQUESTED_DATA_DELETED, past.record
        self._check_ticks()
        check_flow(past for past in self._pasts.values() if past.record.workflow == "boxes")

    async def _records(self, query: RunQuery) -> list[Record]:
        found: list[Record] = []
        while page := await self._store.runs(query):
            found += page
            query = msgspec.structs.replace(query, after=page[-1].run_id)
        return found

    async def _past(self, record: Record) -> Past:
        entries = await self._store.history(record.run_id, limit=MANY)
        if (before := self._remembered.get(record.run_id)) is not None:
            return past_of_deleted(record, entries, before)
        noted: list[str] = []
        if entries[0].cause is Cause.FORKED and entries[0].data is not None:
            noted = msgspec.json.decode(entries[0].data, type=Noting).noted  # of the other run
        added: list[list[str]] = []
        for entry in entries:
            now = (
                noted if entry.data is None else msgspec.json.decode(entry.data, type=Noting).noted
            )
            assert now[: len(noted)] == noted, f"{entry} has lost what {noted} noted"
            added.append(now[len(noted) :])
            noted = now
        fate = msgspec.json.decode(record.data, type=Noting).fate
        return Past(record, entries, added, record.reason, fate)

    async def _message(self, kind: MessageKind, workflow: str, name: str) -> Message | None:
        key = MessageKey(workflow, kind, MessageId(name))
        found = await self._store.messages(MessageQuery(keys=(key,)))
        return found[0] if found else None

    async def _check_events(self, workflow: Workflow[Any, Any]) -> None:
        """No run awaits an event that does not come, and no due timeout is left."""
        for partition in range(PARTITIONS):
            query = WaitingQuery(workflow=workflow.name, partition=partition, quiet=0.0)
            waiting = await self._store.waiting(query)
            assert not waiting.events, f"nothing wakes {waiting.events}"
        for status in workflow.checked().statuses_with_functions:
            due = await self._store.due(
                workflow.name, status.value, range(PARTITIONS), limit=10, wait=0.0
            )
            assert not due, f"nobody has posted {due}"
        for past in self._pasts.values():
            record = past.record
            rests = record.run_state.at_rest
            assert (record.awaits is Awaits.NOBODY) == rests, record
            assert rests or record.awaits is Awaits.MESSAGE, f"not worked on: {record}"
            has_step = self._graph(record).step(self._status(record)) is not None
            assert rests or not has_step, f"its step, which never stays, has not run: {record}"

    async def _check_inboxes(self) -> None:
        for past in self._pasts.values():
            record = past.record
            waiting = await self._store.messages(MessageQuery(run_ids=(record.run_id,), limit=MANY))
            assert record.messages == len(waiting), f"{record} counts {waiting}"
            inbox = sort_inbox(
                waiting,
                status=record.status,
                visit=record.visit,
                run_state=record.run_state,
                now=record.updated_at,  # those that have expired were settled
            )
            assert not inbox.settled, f"{record} should not have {inbox.settled}"
            if not record.run_state.at_rest:
                assert not inbox.accepted, f"{record} should have taken {inbox.accepted}"

    async def _check_sent(self, sent: Sent) -> None:
        """A callback counts once if its message was taken, and else not at all."""
        found = await self._store.messages(MessageQuery(keys=(sent.key,)))
        counted = [
            (past.record.run_id, entry.version)
            for past in self._pasts.values()
            for entry, notes in zip(past.entries, past.added, strict=True)
            if sent.note in notes
        ]
        taken = [
            (message.run_id, message.version)
            for message in found
            if message.outcome is MessageOutcome.TAKEN
        ]
        assert counted == taken, f"{sent} counted at {counted}: {found}"
        check_reasons(message.reason for message in found)
        for message in found:
            if self._pasts[message.run_id].record.run_state is RunState.DATA_DELETED:
                assert (message.payload, message.reason) == (b"", None), message

    async def _check_timeouts(self, past: Past) -> None:
        """A timeout counts once if its message was taken, never too early, and is never left out
        while the run stays.
        """
        record, graph = past.record, self._graph(past.record)
        for entry, notes in zip(past.entries, past.added, strict=True):
            for name, visit in (note.split(":")[:2] for note in notes):
                if name in AFTER:
                    begun = past.entries[int(visit) - 1].at
                    assert entry.at - begun >= timedelta(seconds=AFTER[name]), entry
                    message = await self._timeout(record, visit, name)
                    assert message is not None, f"{entry} has no message"
                    assert message.outcome is MessageOutcome.TAKEN, message
                    assert message.version == entry.version, (message, entry)
                if name == "tire":  # nudge was due first
                    assert await self._timeout(record, visit, "nudge"), f"{entry}, and no nudge"
        if record.run_state.at_rest:
            return
        status = self._status(record)
        for timeout in graph.timeouts(status):  # the test has let them all become due
            assert f"{timeout.name}:{record.visit}" in past.notes, (
                f"{timeout.name} of {record} has not fired"
            )

    async def _timeout(self, record: Record, visit: str, name: str) -> Message | None:
        return await self._message(
            MessageKind.TIMEOUT, record.workflow, f"{record.run_id}:{visit}:{name}"
        )

    def _graph(self, record: Record) -> Any:
        return self._workflow(record).checked()

    def _status(self, record: Record) -> Any:
        return self._workflow(record).status_of(record.status)

    def _workflow(self, record: Record) -> Workflow[Any, Any]:
        workflows = (*self._trips.workflows, self._trips.chimes)
        return next(each for each in workflows if each.name == record.workflow)

    async def _check_children(self, past: Past) -> None:
        """Children and starts are the same; each end of a child counts once, and none is missed."""
        record = past.record
        if record.workflow != "trips":
            return
        children = await self._records(RunQuery(workflow="boxes", parent=record.run_id))
        started = past.started()
        assert {child.foreign_id for child in children} == {name for _, name in started}
        links = Counter(name for _, name in started)
        ended = Counter(note for note in past.notes if note.startswith("child:"))
        for child in children:
            ends = {note: n for note, n in ended.items() if note.split(":")[1] == child.run_id}
            state = child.run_state
            states = {state}
            if state.finished:
                states = {entry.run_state for entry in self._pasts[child.run_id].entries}
            may_be = {f"child:{child.run_id}:{each.name}" for each in states if each.finished}
            assert set(ends) <= may_be, (ends, child)
            assert sum(ends.values()) <= links[child.foreign_id], (ends, child)
            if state.finished and not record.run_state.finished:
                await self._check_end_was_told(record, child, started)
        is_cancelled = record.run_state.finished and past.end.run_state is RunState.CANCELLED
        if is_cancelled and past.cascade is not False:
            every = past.cascade is True
            query = RunQuery(workflow="boxes", parent=record.run_id, cascading=not every)
            for child in await self._records(query):
                assert child.run_state.finished, f"{child} goes on without {record}"

    async def _check_end_was_told(
        self, parent: Record, child: Record, started: Sequence[tuple[int, str]]
    ) -> None:
        names = [
            f"{parent.run_id}:{child.run_id}:{version}"
            for version, name in started
            if name == child.foreign_id
        ]
        posted = [await self._message(MessageKind.CHILD, "trips", name) for name in names]
        assert any(posted), f"{parent} was not told of the end of {child}"

    def _check_ticks(self) -> None:
        """Each tick has started one run. Runs that are old enough are removed, and no others."""
        (schedule,) = self._trips.chimes.checked().schedules
        now = self._trips.clock.now()
        runs = [past.record for past in self._pasts.values() if past.record.workflow == "chimes"]
        ticks = {run.foreign_id for run in runs}
        end = now + timedelta.resolution
        expected = list(between(ticks_of(schedule), START + timedelta.resolution, end))
        old = now - timedelta(seconds=KEPT)
        every = {foreign_id_of(schedule.name, tick) for tick in expected}
        young = {foreign_id_of(schedule.name, tick) for tick in expected if tick >= old}
        assert len(ticks) == len(runs), f"two runs of a tick: {runs}"
        assert young <= ticks <= every, (young, ticks, every)
        for run in runs:
            assert run.updated_at >= old - timedelta(seconds=SWEPT), f"{run} is not removed"
