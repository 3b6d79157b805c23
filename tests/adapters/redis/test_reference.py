"""Random writes have the same results on Redis as in the reference, the store in memory."""

import random
from datetime import timedelta

from msgspec.structs import replace

from workflow_ray.ports import EventStreamer, Store
from workflow_ray.records import (
    PUBLISHER,
    Awaits,
    Cause,
    Event,
    Fence,
    Fenced,
    GroupResult,
    NewRun,
    NewTimeout,
    OutboxEntry,
    OutgoingEvent,
    Position,
    Received,
    Role,
    RunId,
    RunQuery,
    RunState,
    Topic,
    Version,
    WaitingQuery,
    Write,
    WriteGroup,
    new_run_id,
    new_write_id,
)
from workflow_ray.testing.clock import START, FakeClock
from workflow_ray.testing.conformance.runs import CONSUMERS, deploy, workflow
from workflow_ray_adapters.memory import MemoryStore
from workflow_ray_adapters.redis.store import RedisStore

ROUNDS = 60
ROLES = (Role(PUBLISHER), Role(CONSUMERS))
TOPICS = (Topic("orders-1"), Topic("orders-2"))


class Author:
    """Makes random writes, often of the same few runs, foreign ids and keys."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._runs = [new_run_id() for _ in range(6)]
        self._versions = dict.fromkeys(self._runs, 0)  # the highest versions that they may have
        self._written: list[Write] = []

    def group(self) -> WriteGroup:
        writes = tuple(self._write() for _ in range(self._rng.randrange(6)))
        positions = tuple(self._position() for _ in range(self._rng.randrange(3)))
        events = tuple(self._event() for _ in range(self._rng.randrange(-3, 2)))
        return WriteGroup(
            writes=writes,
            positions=positions,
            events=events,
            timeouts_apart=self._rng.random() < 0.3,
        )

    def _position(self) -> Position:
        rng = self._rng
        offset, begun, incarnation = rng.randrange(40), rng.randrange(40), rng.randrange(3)
        return Position(
            CONSUMERS,
            rng.randrange(3),
            offset,
            begun=begun,
            log=rng.choice("ab"),
            incarnation=incarnation,
        )

    def _write(self) -> Write:
        if self._written and self._rng.random() < 0.2:
            return self._rng.choice(self._written)
        if self._rng.random() < 0.1:
            self._runs[self._rng.randrange(len(self._runs))] = fresh = new_run_id()
            self._versions[fresh] = 0
        run_id = self._rng.choice(self._runs)
        expected = max(0, self._versions[run_id] - self._rng.choice([0, 0, 0, 0, 1]))
        self._versions[run_id] = expected + 1
        self._written.append(self._next(run_id, Version(expected)))
        return self._written[-1]

    def _next(self, run_id: RunId, expected: Version) -> Write:
        rng = self._rng
        data = (
            bytes(rng.choices(range(256), k=rng.randrange(20)))
            if expected == 0 or rng.random() < 0.5
            else None
        )
        new = NewRun(
            workflow=rng.choice(["orders", "invoices"]),
            foreign_id=rng.choice("ab"),
            partition=rng.randrange(3),
            idempotency_key=rng.choice([None, None, "k", "l"]),
            digest=rng.choice([None, bytes(16), b"\xff" * 16]),
        )
        run_state = rng.choice(list(RunState))
        return Write(
            run_id=run_id,
            write_id=new_write_id(),
            expected=expected,
            status=rng.randrange(1, 4),
            run_state=run_state,
            visit=Version(expected + 1),
            cause=rng.choice(list(Cause)),
            by="test",
            attempt=rng.randrange(3),
            reason=rng.choice([None, "", "naïve 🦄"]),
            data=data,
            new=new if expected == 0 else None,
            events=tuple(self._outgoing() for _ in range(rng.randrange(3))),
            timeouts=tuple(self._timeout() for _ in range(rng.randrange(-2, 3))),
            awaits=Awaits.NOBODY
            if run_state.at_rest
            else rng.choice([Awaits.EVENT, Awaits.MESSAGE, Awaits.PARKED]),
            asks=rng.random() < 0.5,
        )

    def _timeout(self) -> NewTimeout:
        after = self._rng.choice([None, 0.0, 7.5])
        at = START + timedelta(seconds=30.25) if after is None else None
        return NewTimeout(
            name=self._rng.choice("ab"),
            workflow="orders",
            partition=self._rng.randrange(3),
            after=after,
            at=at,
        )

    def _outgoing(self) -> OutgoingEvent:
        delay = self._rng.choice([0.0, 0.0, 5.0, 12.5])
        return OutgoingEvent(
            topic=self._rng.choice(TOPICS), partition=self._rng.randrange(3), delay=delay
        )

    def _event(self) -> Event:
        return Event(
            run_id=self._rng.choice(self._runs),
            topic=TOPICS[0],
            partition=self._rng.randrange(3),
            version=Version(7),
            status=1,
        )


async def test_random_writes_have_the_same_results_as_in_the_reference(
    store: RedisStore, clock: FakeClock, rng: random.Random
) -> None:
    author, reference = Author(rng), MemoryStore(clock)
    stores: list[Store] = [store, reference]
    fences: list[dict[str, list[Fence]]] = [{role.group: [] for role in ROLES} for _ in stores]
    for one in stores:
        await deploy(one, workflow(groups={PUBLISHER: 1, CONSUMERS: 1}))
    for number in range(ROUNDS):
        for role in ROLES if number == 0 else rng.sample(ROLES, rng.choice([0, 0, 0, 1])):
            for mine, one in zip(fences, stores, strict=True):
                mine[role.group].append(await one.acquire(role))
        groups = [author.group() for _ in range(rng.randrange(1, 4))]
        holders = [rng.choice([None, -1, -1, -1, -2]) for _ in groups]
        answers = [
            await one.store(
                [
                    replace(group, fence=held(mine, holder))
                    for group, holder in zip(groups, holders, strict=True)
                ]
            )
            for one, mine in zip(stores, fences, strict=True)
        ]
        assert list(map(comparable, answers[0])) == list(map(comparable, answers[1]))
        await agree(store, reference, [mine[PUBLISHER][-1] for mine in fences], rng)
        await clock.advance(timedelta(seconds=rng.choice([0, 0, 1, 7])))


def held(fences: dict[str, list[Fence]], holder: int | None) -> Fence | None:
    """Return the newest fence of the consumers, the previous one, or none."""
    found = fences[CONSUMERS]
    return None if holder is None else found[max(holder, -len(found))]


def comparable(answer: GroupResult) -> object:
    """Remove epochs from answers, because each store has its own."""
    return answer.role if isinstance(answer, Fenced) else answer


async def agree(
    store: RedisStore, reference: MemoryStore, publishers: list[Fence], rng: random.Random
) -> None:
    for name in ("orders", "invoices"):
        query = RunQuery(
            workflow=name,
            statuses=tuple(rng.sample(range(1, 4), rng.randrange(3))),
            run_states=tuple(rng.sample(list(RunState), rng.randrange(4))),
            foreign_id=rng.choice([None, None, "a"]),
            newest_first=rng.random() < 0.5,
            limit=rng.choice([1, 2, 100]),
        )
        assert await store.runs(query) == await reference.runs(query)
        assert await store.counts(name) == await reference.counts(name)
        assert await store.latest(name, ["a", "b", "c"]) == await reference.latest(
            name, ["a", "b", "c"]
        )
        waiting = WaitingQuery(
            workflow=name,
            partition=rng.randrange(3),
            quiet=rng.choice([0, 5, 10]),
            limit=rng.choice([1, 100]),
        )
        assert await store.waiting(waiting) == await reference.waiting(waiting)
    for record in await reference.runs(RunQuery(workflow="orders")):
        assert await store.lookup([record.run_id]) == [record]
        assert await store.history(record.run_id) == await reference.history(record.run_id)
    assert await store.positions(CONSUMERS) == await reference.positions(CONSUMERS)
    one, other = publishers
    mine, theirs = (
        await store.pending(one, limit=1000, wait=0),
        await reference.pending(other, limit=1000, wait=0),
    )
    assert by_partition(mine) == by_partition(theirs)
    for status in range(1, 4):
        due = await store.due("orders", status, range(3), limit=100, wait=0)
        assert due == await reference.due("orders", status, range(3), limit=100, wait=0)
    if rng.random() < 0.2:
        assert await store.move(one, limit=1000, wait=0) == await reference.move(
            other, limit=1000, wait=0
        )
    for topic in TOPICS:
        assert await published(store, topic) == await published(reference, topic)


async def published(store: EventStreamer, topic: Topic) -> list[Received]:
    arrivals = await store.receive(
        topic, dict.fromkeys(range(3), 0), reader="test", limit=3000, wait=0
    )
    return sorted(arrivals.events, key=place)


def by_partition(entries: list[OutboxEntry]) -> dict[object, list[tuple[object, object]]]:
    """Group the entries by topic and partition, and the timeouts apart, in order."""
    found: dict[object, list[tuple[object, object]]] = {}
    for entry in entries:
        place = (entry.event.topic, entry.event.partition) if entry.event else None
        found.setdefault(place, []).append((entry.event or entry.timeout, entry.due_at))
    return found


def place(item: Received) -> tuple[int, int]:
    return item.event.partition, item.offset
