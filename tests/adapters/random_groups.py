"""Random groups of writes, with messages, children and results, for tests against the reference."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec.structs import replace

from workflow_ray.records import (
    Awaits,
    ErrorDetail,
    Gathering,
    Link,
    Message,
    MessageFailure,
    MessageKey,
    NewChild,
    NewMessage,
    OnceResult,
    Parking,
    Record,
    Removal,
    RunId,
    RunState,
    Version,
    Write,
    WriteGroup,
    status_topic,
)
from workflow_ray.testing.conformance.kin import child
from workflow_ray.testing.conformance.posts import EVERYWHERE, callback, failure
from workflow_ray.testing.conformance.runs import CREATED, PAID, SHIPPED, event, new_run, step

T = TypeVar("T")

WORKFLOWS = ("orders", "invoices")
FOREIGN_IDS = [f"run-{at}" for at in range(6)]
LINKS = [
    Link(),
    Link(statuses=(PAID,)),
    Link(gathered_at=(PAID,)),
    Link(statuses=(PAID, SHIPPED), gathered_at=(PAID, SHIPPED)),
    Link(cascades=True),
]
KEPT_AT: list[tuple[int, ...] | None] = [(), None, (CREATED,), (PAID, SHIPPED)]
FLOW_KEYS = ["", "acme", "naïve 🦄", "a:1/b"]
LABELS: list[dict[str, str]] = [{}, {"region": "eu"}, {"region": "naïve 🦄", "tier": "gold"}]
ERROR = ErrorDetail(type="ValueError", message="no card")
STATES = [RunState.RUNNING] * 6 + [RunState.PAUSED, RunState.COMPLETED, RunState.CANCELLED]


@dataclass
class RandomGroups:
    """Makes groups that few foreign ids, runs and message ids are enough to let collide."""

    rng: random.Random
    run_ids: list[RunId] = field(default_factory=list[RunId])
    keys: list[MessageKey] = field(default_factory=list[MessageKey])

    def group(self, records: Sequence[Record], messages: Sequence[Message]) -> WriteGroup:
        """Make a group of changes to runs, some of which are stale or refused.

        Args:
            records: The runs that exist.
            messages: Messages that wait.
        """
        return WriteGroup(
            writes=tuple(self._write(records, messages) for _ in self._few([0, 1, 1, 1, 2])),
            messages=tuple(self._message(records) for _ in self._few([0, 0, 1, 2])),
            failures=tuple(self._failure(messages) for _ in self._few([0, 1] if messages else [0])),
            results=tuple(self._result(records) for _ in self._few([0, 0, 1] if records else [0])),
            expires=self.rng.choice([(), (), ("orders",), ("invoices", "orders")]),
        )

    def removing(self, group: WriteGroup, records: Sequence[Record]) -> WriteGroup:
        """Now and then, let the group remove runs, histories and keys. It is the last of its call:
        a store may remove after all groups of it.
        """
        if not records or self._now_and_then(0.7):
            return group
        removals = [
            Removal(
                workflow=self.rng.choice(WORKFLOWS),
                runs=tuple(self.rng.choice(records).run_id for _ in self._few([0, 1, 2, 3])),
                histories=tuple(self.rng.choice(records).run_id for _ in self._few([0, 1, 3])),
                keys_below=self.rng.choice([None, None, self.rng.choice(self.run_ids)]),
            )
            for _ in self._few([1, 1, 2])
        ]
        return replace(group, removals=tuple(removals))

    def _write(self, records: Sequence[Record], messages: Sequence[Message]) -> Write:
        if not records or self._now_and_then(0.2):
            write = self._new_run()
        else:
            record = self.rng.choice(records)
            write = self._move(record)
            inbox = [message for message in messages if message.run_id == record.run_id]
            if inbox and self._now_and_then(0.5):
                taken = self.rng.sample(inbox, self.rng.randint(1, min(2, len(inbox))))
                write = replace(write, takes=tuple(message.key for message in taken))
        write = self._extended(write)
        if self._now_and_then(0.3):
            write = replace(write, children=tuple(self._child() for _ in self._few([1, 1, 2, 3])))
        return write

    def _extended(self, write: Write) -> Write:
        """Add labels, an error, and another version of the data, now and then."""
        if self._now_and_then(0.3):
            write = replace(write, labels=self.rng.choice(LABELS))
        if self._now_and_then(0.2):
            write = replace(write, error=ERROR)
        if self._now_and_then(0.3):
            write = replace(write, data=b"[]", data_version=self.rng.choice([1, 2, 3]))
        return write

    def _parked(self, write: Write) -> Write:
        """Let flow control order the run, now and then: it parks, or it holds a slot."""
        if self._now_and_then(0.6):
            return write
        key, priority = self.rng.choice(FLOW_KEYS), self.rng.choice([0, 0, -1, 7])
        write = replace(write, parking=Parking(key=key, priority=priority))
        if self._now_and_then(0.4):
            return write
        return replace(write, parked=True, awaits=Awaits.PARKED, asks=False, events=())

    def _new_run(self) -> Write:
        write = new_run(
            self.rng.choice(FOREIGN_IDS),
            workflow=self.rng.choice(WORKFLOWS),
            key=self.rng.choice([None, None, *FOREIGN_IDS]),
            digest=self.rng.choice([None, b"\xff" * 16]),
            events=[event()] if self._now_and_then(0.5) else [],
        )
        self.run_ids.append(write.run_id)
        write = self._parked(write)
        return self._gathering(write) if self._now_and_then(0.2) else write

    def _move(self, record: Record) -> Write:
        state = self.rng.choice(STATES)
        if record.run_state.finished:
            state = RunState.REQUESTED_DATA_DELETED
        write = step(record, status=self.rng.choice(EVERYWHERE), run_state=state)
        if self._now_and_then(0.4):
            write = replace(write, visit=record.visit, status=record.status)
        if self._now_and_then(0.1):
            write = replace(write, expected=Version(max(1, record.version - 1)))
        if state.at_rest:
            if not state.finished:
                return replace(write, parking=record.parking, parked=record.parked)
            erases = self._now_and_then(0.3)
            return replace(write, data=b"null", erases=True) if erases else write
        if self._now_and_then(0.5):
            write = replace(write, awaits=Awaits.MESSAGE, asks=False)
        else:
            topic = status_topic(record.workflow, write.status)
            delay = self.rng.choice([0.0, 0.0, 40.0])
            write = replace(write, events=(event(topic=topic, delay=delay),))
        write = self._parked(write)
        enters = write.visit != record.visit
        return self._gathering(write) if enters and self._now_and_then(0.4) else write

    def _gathering(self, write: Write) -> Write:
        gathering = Gathering(workflow=self.rng.choice(WORKFLOWS), statuses=(write.status,))
        return replace(write, gatherings=(gathering,))

    def _child(self) -> NewChild:
        made = child(
            self.rng.choice(FOREIGN_IDS),
            link=self.rng.choice(LINKS),
            joins=self._now_and_then(0.6),
            workflow=self.rng.choice(WORKFLOWS),
            run_state=self.rng.choice([RunState.INITIATED] * 5 + [RunState.COMPLETED]),
        )
        self.run_ids.append(made.write.run_id)
        return made

    def _message(self, records: Sequence[Record]) -> NewMessage:
        to = self.rng.choice(records) if records and self._now_and_then(0.5) else None
        message = callback(
            to,
            f"m-{self.rng.randrange(60)}",
            foreign_id=None if to else self.rng.choice([*FOREIGN_IDS, "unknown"]),
            workflow=to.workflow if to else self.rng.choice(WORKFLOWS),
            statuses=tuple(self.rng.sample(EVERYWHERE, self.rng.randint(1, 2))),
            kept_at=self.rng.choice(KEPT_AT),
            keep=self.rng.choice([None, 20.0, 60.0]),
            visit=self.rng.choice([None, None, to.visit, 1]) if to else None,
        )
        self.keys.append(message.key)
        return message

    def _failure(self, messages: Sequence[Message]) -> MessageFailure:
        message = self.rng.choice(messages)
        retry_in = self.rng.choice([None, 30.0, 0.0])
        return failure(message, attempt=message.attempt + 1, retry_in=retry_in)

    def _result(self, records: Sequence[Record]) -> OnceResult:
        record = self.rng.choice(records)
        return OnceResult(
            run_id=record.run_id,
            visit=self.rng.choice([record.visit, record.visit, Version(1)]),
            name=self.rng.choice(["charge", "ship"]),
            result=str(self.rng.random()).encode(),
        )

    def _few(self, counts: Sequence[int]) -> range:
        return range(self.rng.choice(counts))

    def _now_and_then(self, share: float) -> bool:
        return self.rng.random() < share
