"""Random messages, children, results and entries set aside are the same as in the reference."""

import random
from datetime import timedelta

from msgspec.structs import replace

from workflow_ray.records import (
    Awaits,
    Cause,
    Gathering,
    Link,
    Message,
    MessageFailure,
    MessageId,
    MessageKey,
    MessageKind,
    MessageQuery,
    NewChild,
    NewMessage,
    NewRun,
    NewSetAside,
    OnceResult,
    OutboxEntry,
    OutgoingEvent,
    RunId,
    RunQuery,
    RunState,
    SetAsideKey,
    SetAsideQuery,
    Topic,
    Version,
    Write,
    WriteGroup,
    new_run_id,
    new_write_id,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.runs import acquire
from workflow_ray_adapters.memory import MemoryStore
from workflow_ray_adapters.redis.store import RedisStore

ROUNDS = 150
WORKFLOWS = ("orders", "invoices")
ACTIVE = (RunState.INITIATED, RunState.RUNNING, RunState.RUNNING, RunState.RUNNING)
GROUPS = ("orders-carts-connector", "orders-hooks")


class Author:
    """Makes random groups about the same few runs, messages, names and foreign ids."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._runs = dict[RunId, Version]()  # with the versions that they probably have
        self._new = dict[RunId, NewRun]()
        self._visits = dict[RunId, Version]()
        self._finished = set[RunId]()
        self.keys = list[MessageKey]()  # those that may be known
        self.written = list[Write]()

    @property
    def run_ids(self) -> list[RunId]:
        return list(self._runs)

    def group(self) -> WriteGroup:
        rng = self._rng
        return WriteGroup(
            writes=tuple(self._write() for _ in range(rng.randrange(3))),
            messages=tuple(self._message() for _ in range(rng.randrange(-1, 3))),
            failures=tuple(self._failure() for _ in range(rng.randrange(-2, 2))),
            results=tuple(self._result() for _ in range(rng.randrange(-2, 3))),
            expires=tuple(rng.sample(WORKFLOWS, rng.choice([0, 0, 0, 1, 2]))),
            set_aside=tuple(self._entry() for _ in range(rng.randrange(-2, 3))),
            taken_back=tuple(self._entry_key() for _ in range(rng.randrange(-3, 2))),
        )

    # --- writes ---------------------------------------------------------------------------------

    def _write(self) -> Write:
        rng = self._rng
        if self.written and rng.random() < 0.1:
            return rng.choice(self.written)
        if len(self._runs) < 4 or rng.random() < 0.1:
            write = self._next(new_run_id(), Version(0))
        else:
            run_id = rng.choice(self.run_ids)
            behind = rng.choice([0, 0, 0, 0, 1])
            write = self._next(run_id, Version(max(1, self._runs[run_id] - behind)))
            takes = tuple(rng.choices(self.keys, k=rng.choice([0, 0, 1, 2]))) if self.keys else ()
            write = replace(write, takes=tuple(dict.fromkeys(takes)))
        self._runs[write.run_id] = write.version
        self.written.append(
            replace(
                write,
                children=tuple(self._child() for _ in range(rng.choice([0, 0, 1, 1, 2]))),
                gatherings=() if write.run_state.finished else self._gatherings(write.status),
            )
        )
        return self.written[-1]

    def _next(self, run_id: RunId, expected: Version) -> Write:
        rng = self._rng
        run_state = rng.choice(
            [*ACTIVE * 3, RunState.PAUSED, RunState.CANCELLED, RunState.COMPLETED]
        )
        if run_id in self._finished:
            run_state = rng.choice([RunState.COMPLETED, RunState.REQUESTED_DATA_DELETED])
        if run_state.finished:
            self._finished.add(run_id)
        status = rng.randrange(1, 4)
        visit = Version(expected + 1)
        if expected and rng.random() < 0.4:
            visit = self._visits.get(run_id, visit)
        self._visits[run_id] = visit
        new = self._new.get(run_id) or NewRun(
            workflow=rng.choice(WORKFLOWS),
            foreign_id=rng.choice("abcdef"),
            partition=rng.randrange(3),
        )
        self._new[run_id] = new
        topic = Topic(f"{new.workflow}-{status}")
        events = [
            OutgoingEvent(topic=topic, partition=new.partition, delay=rng.choice([0.0, 5.0]))
            for _ in range(rng.randrange(-1, 2))
        ]
        asks = rng.random() < 0.5
        return Write(
            run_id=run_id,
            write_id=new_write_id(),
            expected=expected,
            status=status,
            run_state=run_state,
            visit=visit,
            cause=Cause.STEP,
            by=rng.choice(["a", "b"]),
            data=b"{}" if expected == 0 else None,
            new=new if expected == 0 else None,
            events=tuple(events),
            awaits=Awaits.NOBODY
            if run_state.at_rest
            else rng.choice([Awaits.EVENT, Awaits.MESSAGE]),
            asks=asks,
            awaited=Version(0) if asks else Version(rng.randrange(expected + 1)),
        )

    def _child(self) -> NewChild:
        rng = self._rng
        write = self._next(new_run_id(), Version(0))
        self._runs[write.run_id] = write.version
        statuses = tuple(rng.sample(range(1, 4), rng.randrange(3)))
        gathered_at = tuple(rng.sample(range(1, 4), rng.randrange(3)))
        return NewChild(
            write=write,
            link=Link(statuses=statuses, gathered_at=gathered_at, cascades=rng.random() < 0.3),
            joins=rng.random() < 0.7,
        )

    def _gatherings(self, status: int) -> tuple[Gathering, ...]:
        workflows = self._rng.sample(WORKFLOWS, self._rng.choice([0, 0, 1, 2]))
        return tuple(Gathering(workflow=name, statuses=(status,)) for name in workflows)

    # --- the rest -------------------------------------------------------------------------------

    def _run_id(self) -> RunId:
        return self._rng.choice([*self.run_ids, new_run_id()])

    def _message(self) -> NewMessage:
        rng = self._rng
        kind = rng.choice([MessageKind.CALLBACK, MessageKind.CALLBACK, MessageKind.TIMEOUT])
        name = rng.choice(["", "naïve 🦄 ", 'a"\\b/']) + str(rng.randrange(30))
        key = MessageKey(rng.choice(WORKFLOWS), kind, MessageId(name))
        self.keys.append(key)
        is_by_run = rng.random() < 0.6
        kept_at = rng.choice([None, (), tuple(rng.sample(range(1, 4), 2))])
        return NewMessage(
            key=key,
            run_id=self._run_id() if is_by_run else None,
            foreign_id=None if is_by_run else rng.choice("abcdef"),
            name=rng.choice(["paid", "refused"]),
            statuses=tuple(rng.sample(range(1, 4), rng.randrange(1, 3))),
            kept_at=kept_at,
            keep=rng.choice([None, 0.0, 3.0, 10.0]),
            visit=rng.choice([None, None, Version(rng.randrange(1, 5))]),
            payload=bytes(rng.choices(range(256), k=rng.randrange(20))),
            digest=rng.choice([None, b"\xff" * 16]),
            by="client",
        )

    def _failure(self) -> MessageFailure:
        rng = self._rng
        key = rng.choice([*self.keys, MessageKey("orders", MessageKind.CALLBACK, MessageId("?"))])
        return MessageFailure(
            key=key,
            run_id=self._run_id(),
            attempt=rng.randrange(1, 4),
            reason="naïve",
            retry_in=rng.choice([None, 0.0, 4.0]),
        )

    def _result(self) -> OnceResult:
        rng, run_id = self._rng, self._run_id()
        visit = self._visits.get(run_id, Version(rng.randrange(1, 4)))
        name = rng.choice(["charge", 'say "naïve"\n', "mail/1"])
        return OnceResult(run_id=run_id, visit=visit, name=name, result=b"%d" % rng.randrange(9))

    def _entry_key(self) -> SetAsideKey:
        rng = self._rng
        return SetAsideKey(
            rng.choice(GROUPS),
            rng.randrange(2),
            rng.randrange(4),
            log=rng.choice(["a", "ab"]),
            incarnation=rng.randrange(2),
        )

    def _entry(self) -> NewSetAside:
        rng = self._rng
        return NewSetAside(
            key=self._entry_key(),
            event_id=rng.choice("xyz"),
            event=b"{}" * rng.randrange(3),
            attempt=rng.randrange(3),
            error=rng.choice(["", "naïve"]),
            retry_in=rng.choice([None, 0.0, 5.0]),
        )


async def test_random_groups_have_the_same_results_as_in_the_reference(
    store: RedisStore, clock: FakeClock, rng: random.Random
) -> None:
    author, reference = Author(rng), MemoryStore(clock)
    publisher, other = await acquire(store), await acquire(reference)
    for _ in range(ROUNDS):
        groups = [author.group() for _ in range(rng.randrange(1, 4))]
        answers = await store.store(groups)
        assert answers == await reference.store(groups)
        await agree(store, reference, author, rng)
        mine = await store.pending(publisher, limit=1000, wait=0)
        theirs = await reference.pending(other, limit=1000, wait=0)
        assert sorted_entries(mine) == sorted_entries(theirs)
        if rng.random() < 0.3:
            await store.published(publisher, [entry.id for entry in mine])
            await reference.published(other, [entry.id for entry in theirs])
        await clock.advance(timedelta(seconds=rng.choice([0, 0, 1, 4])))


def sorted_entries(entries: list[OutboxEntry]) -> list[tuple[str, str]]:
    return sorted((repr(entry.event), str(entry.due_at)) for entry in entries)


async def agree(
    store: RedisStore, reference: MemoryStore, author: Author, rng: random.Random
) -> None:
    run_ids = author.run_ids
    for one, other in zip(
        await store.lookup(run_ids), await reference.lookup(run_ids), strict=True
    ):
        assert one == other
    assert sorted(map(repr, await store.results(run_ids))) == sorted(
        map(repr, await reference.results(run_ids))
    )
    for query in (
        MessageQuery(run_ids=tuple(run_ids)),
        MessageQuery(run_ids=tuple(run_ids), failed=True),
        MessageQuery(keys=tuple(dict.fromkeys(author.keys)), limit=100_000),
        MessageQuery(
            run_ids=(rng.choice([*run_ids, new_run_id()]),), due=True, limit=rng.choice([1, 2, 100])
        ),
    ):
        for settled in (False, True):
            mine = await store.messages(query, settled=settled)
            theirs = await reference.messages(query, settled=settled)
            # Messages to several runs about one end have no order.
            assert sorted(mine, key=by_run) == sorted(theirs, key=by_run)
            author.keys += [
                message.key for message in mine if message.key.kind >= MessageKind.CHILD
            ]
    for runs in (runs_query(run_ids, rng) for _ in range(5)):
        assert await store.runs(runs) == await reference.runs(runs)
    for asked in (entries_query(rng) for _ in range(5)):
        assert await store.set_aside(asked) == await reference.set_aside(asked)


def by_run(message: Message) -> RunId:
    return message.run_id


def runs_query(run_ids: list[RunId], rng: random.Random) -> RunQuery:
    family = rng.sample(run_ids, min(len(run_ids), 2)) + [new_run_id()] * 2
    return RunQuery(
        workflow=rng.choice(WORKFLOWS),
        parent=rng.choice([family[0], family[0], None]),
        since=Version(rng.randrange(4)),
        cascading=rng.random() < 0.3,
        child=rng.choice([family[1], None, None]),
        foreign_id=rng.choice([None, None, "a"]),
        statuses=tuple(rng.sample(range(1, 4), rng.randrange(3))),
        newest_first=rng.random() < 0.5,
        after=rng.choice([None, rng.choice(family)]),
        limit=rng.choice([1, 100]),
    )


def entries_query(rng: random.Random) -> SetAsideQuery:
    due = rng.random() < 0.3
    after = SetAsideKey(GROUPS[0], 0, 2, log="a", incarnation=1)
    return SetAsideQuery(
        group=rng.choice(GROUPS),
        due=due,
        dead=not due and rng.random() < 0.4,
        event_id=rng.choice([None, None, "x"]),
        partitions=rng.choice([None, (), (1,), (0, 1)]),
        after=rng.choice([None, None, after]),
        limit=rng.choice([1, 3, 100]),
    )
