"""Groups of writes: which of them are made, and what they change beside their runs."""

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import asdict, replace

from toyrecords.inbox import Inbox
from toyrecords.positions import merged
from toyrecords.removals import clear_messages
from toyrecords.state import State, UsedKey
from workflow_ray.records import (
    NO_VERSION,
    ActiveRun,
    ChildEnd,
    ChildRefused,
    ChildrenEnd,
    Committed,
    Conflict,
    Event,
    Fenced,
    Gathering,
    GroupResult,
    HistoryEntry,
    KeyUsed,
    Linked,
    Message,
    MessageGone,
    MessageKind,
    MessageOutcome,
    NewChild,
    NewMessage,
    NewRun,
    NewTimeout,
    Record,
    RunId,
    RunState,
    Stored,
    Timeout,
    TimeoutKey,
    Write,
    WriteGroup,
    WriteResult,
    new_child_message,
    new_children_message,
    refuse_child,
)


class Transitions:
    """Commits groups, at one moment."""

    def __init__(self, state: State, now: datetime) -> None:
        self._state = state
        self._now = now
        self._inbox = Inbox(state, now)

    def commit(self, group: WriteGroup) -> GroupResult:
        state, inbox = self._state, self._inbox
        if group.fence and (current := state.epoch(group.fence.role)) != group.fence.epoch:
            return Fenced(group.fence.role, current)
        for position in group.positions:
            rows = state.positions.setdefault(position.group, {})
            rows[position.partition] = merged(rows.get(position.partition), position)
        results = tuple(
            self._prevented(write) or self._make(write, group.timeouts_apart)
            for write in group.writes
        )
        posts = tuple(inbox.post(message) for message in group.messages)
        for failure in group.failures:
            inbox.fail(failure)
        once = tuple(inbox.keep_result(result) for result in group.results)
        for workflow in group.expires:
            inbox.expire(workflow)
        state.set_aside(group.set_aside, self._now)
        state.take_back(group.taken_back)
        for event in group.events:
            state.put(event, None)
        for later in group.postponed:
            state.put(later.event, self._now + timedelta(seconds=later.delay))
        return Committed(results, posts, once)

    # --- what prevents a write ------------------------------------------------------------------

    def _prevented(self, write: Write) -> WriteResult | None:
        """Return the answer to a write that must not be made: it was made already, or it lost."""
        state = self._state
        record = state.records.get(write.run_id)
        found = record.version if record else NO_VERSION
        if found != write.expected:
            entries = state.history.get(write.run_id, ())
            made = any(entry.write_id == write.write_id for entry in entries)
            return Stored(write.run_id, write.version) if made else Conflict(write.run_id, found)
        if write.new is not None and (taken := self._taken(write.run_id, write.new)):
            return taken
        for key in write.takes:
            if self._inbox.waits(key, write.run_id) is None:
                return MessageGone(write.run_id, key)
        return self._refused(write)

    def _taken(self, run_id: RunId, new: NewRun) -> WriteResult | None:
        used = self._state.keys.get(new.workflow, {}).get(new.idempotency_key or "")
        if used is not None and new.idempotency_key is not None:
            return KeyUsed(run_id, used.run_id, used.digest)
        active = self._active(new.workflow, new.foreign_id)
        return ActiveRun(run_id, active) if active else None

    def _active(self, workflow: str, foreign_id: str) -> RunId | None:
        """Return the unfinished run of the foreign id."""
        for other in self._state.records.values():
            same = (other.workflow, other.foreign_id) == (workflow, foreign_id)
            if same and not other.run_state.finished:
                return other.run_id
        return None

    def _refused(self, write: Write) -> ChildRefused | None:
        if not write.children:
            return None
        run = write.new or self._state.records[write.run_id]
        own = run.workflow, run.foreign_id
        is_active = write.creates or self._active(*own) == write.run_id
        return refuse_child(write, own if is_active else None, lambda key: self._active(*key))

    # --- the run --------------------------------------------------------------------------------

    def _make(self, write: Write, timeouts_apart: bool) -> WriteResult:
        before = self._state.records.get(write.run_id)
        self._put(write, timeouts_apart)
        self._take(write)
        started = [
            child.write for child in write.children if self._start(write, child, timeouts_apart)
        ]
        for made in (write, *started):
            self._settle(made)
        is_over = before is not None and before.run_state.finished
        for made in started if is_over else (write, *started):
            if made.run_state.finished:
                self._end(made)
        return Stored(write.run_id, write.version)

    def _put(self, write: Write, timeouts_apart: bool) -> None:
        state, before = self._state, self._state.records.get(write.run_id)
        said = {**asdict(write), "version": write.version}
        if before is None:
            record = msgspec.convert({**said, **self._firsts(write)}, Record)
        else:
            record = replace(write.onto(before), updated_at=self._now)
        state.records[write.run_id] = record
        if write.erases:
            self._erase(write.run_id)
        entry = msgspec.convert({**said, "at": self._now}, HistoryEntry)
        state.history.setdefault(write.run_id, []).append(entry)
        for asked in write.events:
            event = msgspec.convert({**said, **asdict(asked)}, Event)
            due_at = self._now + timedelta(seconds=asked.delay) if asked.delay > 0 else None
            state.put(event, due_at)
        for new_timeout in write.timeouts:
            timeout = _timeout(write, new_timeout, self._now)
            if timeouts_apart:
                state.put(timeout, None)
            else:
                state.create(timeout)
        if before and (write.visit != before.visit or write.run_state.finished):
            state.results.pop(write.run_id, None)
            state.amend(write.run_id, has_results=False)

    def _erase(self, run_id: RunId) -> None:
        """Clear what is kept of the run's versions up to now."""
        state = self._state
        state.history[run_id] = [
            replace(entry, data=None if entry.data is None else b"", reason=None, error=None)
            for entry in state.history.get(run_id, [])
        ]
        state.results.pop(run_id, None)
        state.amend(run_id, has_results=False)
        clear_messages(state, run_id)

    def _firsts(self, write: Write) -> dict[str, object]:
        """Return what only a run's first version has."""
        new = _new(write)
        if new.idempotency_key is not None:
            keys = self._state.keys.setdefault(new.workflow, {})
            keys[new.idempotency_key] = UsedKey(write.run_id, new.digest)
        awaited = write.version if write.asks else write.awaited
        return {
            **asdict(new),
            "awaited": awaited,
            "labels": write.labels or {},
            "created_at": self._now,
            "updated_at": self._now,
        }

    def _take(self, write: Write) -> None:
        for key in write.takes:
            if message := self._inbox.waits(key, write.run_id):
                self._inbox.settle([message], MessageOutcome.TAKEN)
                if key.kind is MessageKind.CHILDREN:
                    self._state.stop_counting(write.run_id, message.name)

    def _settle(self, write: Write) -> None:
        """Sort the inbox for the status that the run is at now, and let it wake the run."""
        accepted = self._inbox.sort(write.run_id)
        for gathering in write.gatherings:
            accepted += self._gather(write, gathering)
        self._inbox.wake(write.run_id, accepted, write.events)

    # --- its children ---------------------------------------------------------------------------

    def _start(self, write: Write, child: NewChild, timeouts_apart: bool) -> bool:
        """Start a child, or join it. True: it was started."""
        new = _new(child.write)
        joined = self._active(new.workflow, new.foreign_id)
        if joined is None:
            self._put(child.write, timeouts_apart)
        run_id = joined or child.write.run_id
        linked = Linked(write.run_id, run_id, write.version, child.link)
        if self._state.link(linked, new.workflow) and child.link.gathered_at:
            waiting = self._last_ends(write.run_id, new.workflow)
            self._inbox.settle(waiting, MessageOutcome.PASSED)
        return joined is None

    def _gather(self, write: Write, gathering: Gathering) -> list[Message]:
        """Post the message that the last child has ended, if none is open and none waits."""
        run_id, workflow = write.run_id, gathering.workflow
        if self._state.open_children(run_id, workflow) or self._last_ends(run_id, workflow):
            return []
        new = self._last_end(self._state.records[run_id], gathering, write.by)
        return [self._inbox.add(new, run_id)]

    def _last_ends(self, run_id: RunId, workflow: str) -> list[Message]:
        return [
            message
            for message in self._inbox.waiting(run_id)
            if message.key.kind is MessageKind.CHILDREN and message.name == workflow
        ]

    # --- its parents ----------------------------------------------------------------------------

    def _end(self, write: Write) -> None:
        """Tell the parents of a run that has ended with the write."""
        record = self._state.records[write.run_id]
        end = ChildEnd(run_id=record.run_id, status=record.status, run_state=record.run_state)
        for child in self._state.as_child(record.run_id):
            parent, link = self._state.records[child.linked.parent], child.linked.link
            child.ended = record.run_state
            if link.statuses:
                new = new_child_message(
                    child.linked, end, workflow=parent.workflow, name=record.workflow, by=write.by
                )
                self._inbox.post(new)
            if not link.gathered_at or self._state.open_children(parent.run_id, record.workflow):
                continue
            if parent.status in link.gathered_at:
                asked = Gathering(workflow=record.workflow, statuses=link.gathered_at)
                self._inbox.post(self._last_end(parent, asked, write.by))

    def _last_end(self, parent: Record, asked: Gathering, by: str) -> NewMessage:
        counted = self._state.counted(parent.run_id, asked.workflow)
        ended = [child.ended for child in counted]
        end = ChildrenEnd(
            since=min((child.linked.since for child in counted), default=NO_VERSION),
            started=len(counted),
            completed=ended.count(RunState.COMPLETED),
            cancelled=ended.count(RunState.CANCELLED),
        )
        return new_children_message(
            parent.run_id, parent.version, end, workflow=parent.workflow, asked=asked, by=by
        )


def _new(write: Write) -> NewRun:
    assert write.new, "check_group has refused it"
    return write.new


def _timeout(write: Write, asked: NewTimeout, now: datetime) -> Timeout:
    due_at = asked.at if asked.at is not None else now + timedelta(seconds=asked.after or 0.0)
    key = TimeoutKey(write.run_id, write.visit, asked.name)
    return Timeout(
        key=key,
        workflow=asked.workflow,
        status=write.status,
        partition=asked.partition,
        due_at=due_at,
    )
