"""A call takes as many statements for 500 as for one, counted where they arrive."""

import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pytest
from msgspec.structs import replace

from tests.servers import MariaDB, Postgres
from workflow_ray.ports import Store, SystemClock, records_adapter
from workflow_ray.records import (
    Event,
    Message,
    MessageQuery,
    NewSetAside,
    OnceResult,
    Position,
    Record,
    Removal,
    RunId,
    SetAsideKey,
    SetAsideQuery,
    Timeout,
    TimeoutKey,
    Topic,
    Version,
    Write,
    WriteGroup,
)
from workflow_ray.testing.conformance.erasing import ERROR, erased
from workflow_ray.testing.conformance.flow import admitted, new_parked, parked_at
from workflow_ray.testing.conformance.kin import ENDED, GATHERED, child, starting
from workflow_ray.testing.conformance.posts import callback, end, failure, taking
from workflow_ray.testing.conformance.removing import LATER
from workflow_ray.testing.conformance.runs import (
    CREATED_TOPIC,
    PAID_CONSUMERS,
    acquire,
    event,
    group,
    new_run,
    step,
)
from workflow_ray_adapters.sql import pace
from workflow_ray_adapters.sql.postgresql import watch
from workflow_ray_adapters.sql.store import SqlStore

SIZES = (1, 10, 500)


class ServerLog:
    """The statements in a server's log. The pattern matches the line of each."""

    def __init__(self, file: Path, pattern: str) -> None:
        self._file = file
        self._pattern = re.compile(pattern, re.MULTILINE)
        self._read = 0

    def taken(self) -> list[str]:
        """The statements since the last call."""
        with self._file.open(errors="replace") as log:
            log.seek(self._read)
            lines = log.read()
            self._read = log.tell()
        return self._pattern.findall(lines)


class Calls:
    """The calls of SQLite's cursors. It runs in this process, so a call is what a round trip is
    elsewhere.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = self._calls = list[str]()

        class Cursor(sqlite3.Cursor):
            def execute(self, sql: str, parameters: Any = (), /) -> Self:
                calls.append(sql)
                super().execute(sql, parameters)
                return self

            def executemany(self, sql: str, parameters: Iterable[Any], /) -> Self:
                calls.append(sql)
                super().executemany(sql, parameters)
                return self

        class Connection(sqlite3.Connection):
            def cursor(self, factory: Any = Cursor) -> Any:
                return super().cursor(factory)

        monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Connection))

    def taken(self) -> list[str]:
        taken, self._calls[:] = list(self._calls), []
        return taken


Counted = tuple[str, ServerLog | Calls]


def of_sqlite(tmp_path: Path, _: Path, monkeypatch: pytest.MonkeyPatch, __: ExitStack) -> Counted:
    return f"sqlite:///{tmp_path}/runs.db", Calls(monkeypatch)


def of_postgresql(_: Path, folder: Path, __: pytest.MonkeyPatch, stack: ExitStack) -> Counted:
    server = stack.enter_context(Postgres(folder, {"log_statement": "all"}))
    return database_of(server, stack), ServerLog(
        server.log, r"LOG:  (?:statement|execute [^:]+): (?!SELECT pg_notify)(.*)$"
    )


def of_mariadb(_: Path, folder: Path, __: pytest.MonkeyPatch, stack: ExitStack) -> Counted:
    server = stack.enter_context(
        MariaDB(folder, {"general-log": "1", "general-log-file": "statements.log"})
    )
    return database_of(server, stack), ServerLog(
        server.data / "statements.log", r"^.*\s\d+ Query\t(.*)$"
    )


def database_of(server: Postgres | MariaDB, stack: ExitStack) -> str:
    return stack.enter_context(server.database(f"test_{uuid4().hex}"))


@pytest.fixture(params=[of_sqlite, of_postgresql, of_mariadb])
def counted(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    server_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Counted]:
    with ExitStack() as stack:
        yield request.param(tmp_path, server_folder, monkeypatch, stack)


@pytest.fixture
async def store(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    url, _ = counted
    # seconds: nobody polls for others' commits meanwhile
    for module, pause in ((pace, "SHORTEST"), (watch, "POLL"), (watch, "TEST")):
        monkeypatch.setattr(module, pause, 3600.0)
    adapter = records_adapter(url)
    adapter.create(url)
    async with adapter.open_records(url, clock=SystemClock(), exclusive=False) as store:
        assert isinstance(store, SqlStore)
        yield store


async def test_a_call_takes_as_many_statements_for_500_as_for_one(
    store: Store, counted: Counted
) -> None:
    fence = await acquire(store)
    seen = dict[str, dict[int, int]]()
    # this connects, and prepares each statement once
    await each_call(store, fence, 1, lambda _, call: call)
    for size in SIZES:
        # the size in this turn of the loop
        async def count(name: str, call: Awaitable[Any], size: int = size) -> Any:
            counted[1].taken()
            answer = await call
            seen.setdefault(name, {})[size] = len(counted[1].taken())
            return answer

        await each_call(store, fence, size, count)
    assert {
        name: counts
        for name, counts in seen.items()
        if len(set(counts.values())) > 1 or not all(counts.values())
    } == {}


Counter = Callable[[str, Awaitable[Any]], Awaitable[Any]]


async def each_call(store: Any, fence: Any, size: int, count: Counter) -> None:
    """Yield each call that takes a batch, with one of this size."""
    runs = [new_run(key=uuid4().hex, events=[event()]) for _ in range(size)]
    ids = [run.run_id for run in runs]
    positions = [Position(PAID_CONSUMERS, partition, 1) for partition in range(size)]
    await count("new runs", store.store([group(*runs, fence=fence, positions=positions)]))
    # a batch of one is read without its size
    records: list[Record] = (await count("lookup", store.lookup(ids if size > 1 else ids * 2)))[
        :size
    ]
    await count("latest", store.latest("orders", [record.foreign_id for record in records]))
    await count("watch", store.watch(dict.fromkeys(ids, Version(0)), wait=0))
    await count("move", store.move(fence, limit=size, wait=0))
    await count(
        "steps",
        store.store([group(*(step(record, events=[event()]) for record in records), fence=fence)]),
    )
    pending = await count("pending", store.pending(fence, limit=size, wait=0))
    await count("published", store.published(fence, [entry.id for entry in pending]))
    await count("receive", store.receive(CREATED_TOPIC, {0: 0}, reader="test", limit=size, wait=0))
    await count("send", store.send(sent(ids)))
    await count("timeouts", store.create(timeouts(records)))
    await count("due", store.due("orders", 1, range(size), limit=size, wait=0))
    await count("complete", store.complete([timeout.key for timeout in timeouts(records)]))
    await each_call_of_waits(store, size, count)
    await each_call_of_extensions(store, size, count)


async def each_call_of_waits(store: Any, size: int, count: Counter) -> None:
    """As each_call, for messages, results of `once`, children, and entries set aside."""
    runs = [new_run() for _ in range(size)]
    await store.store([group(*runs)])
    ids = [run.run_id for run in runs]

    async def do(name: str, **changes: Any) -> None:
        await count(name, store.store([WriteGroup(**changes)]))

    posted = tuple(callback(run, uuid4().hex) for run in runs)
    await do("post", messages=posted)
    await do("post again", messages=posted)
    to_foreign_ids = tuple(
        callback(None, uuid4().hex, foreign_id=run.new.foreign_id) for run in runs if run.new
    )
    await do("post to foreign ids", messages=to_foreign_ids)
    keys = tuple(message.key for message in posted)
    messages: list[Message] = await count("messages", store.messages(MessageQuery(keys=keys)))
    await count("inboxes", store.messages(MessageQuery(run_ids=tuple(ids), limit=2 * size)))
    await do("failures", failures=tuple(failure(message, retry_in=60) for message in messages))
    results = tuple(
        OnceResult(run_id=run_id, visit=Version(1), name="charge", result=b"1") for run_id in ids
    )
    await do("once", results=results)
    await count("results", store.results(ids))
    moves = [taking(run, message_key) for run, message_key in zip(runs, keys, strict=True)]
    await do("takes", writes=tuple(moves))
    links = (ENDED, GATHERED)
    children = [child(link=links[at % 2]) for at in range(2 * size)]
    parents = [
        starting(move, *children[2 * at : 2 * at + 2], gathers=True)
        for at, move in enumerate(moves)
    ]
    await do("children", writes=tuple(parents))
    await do("ends of children", writes=tuple(end(each.write) for each in children))
    entries = tuple(
        NewSetAside(
            key=SetAsideKey(f"set-aside-{size}", 0, at),
            event_id=f"{at}",
            event=b"{}",
            attempt=1,
            retry_in=60,
        )
        for at in range(size)
    )
    await do("set aside", set_aside=entries)
    asked = SetAsideQuery(group=f"set-aside-{size}", due=True, limit=size)
    await count("entries set aside", store.set_aside(asked))
    await do("take back", taken_back=tuple(entry.key for entry in entries))


async def each_call_of_extensions(store: Any, size: int, count: Counter) -> None:
    """As each_call, for labels, errors, flow control, erasing and removals."""
    runs = [
        parked_at(new_run(labels={"at": f"{at}"}, key=uuid4().hex), f"{at % 3}")
        for at in range(size)
    ]

    async def do(name: str, *writes: Write, **changes: Any) -> None:
        await count(name, store.store([WriteGroup(writes=writes, **changes)]))

    await do("parked runs", *runs)
    admissions = [admitted(run) for run in runs]
    await do("admissions", *admissions)
    failed = [
        replace(step(run, data=b"2"), labels={"at": "x"}, data_version=2, error=ERROR)
        for run in admissions
    ]
    await do("labels and errors", *failed)
    ends = [end(run) for run in failed]
    await do("ends", *ends)
    await do("erasing", *(erased(run) for run in ends))
    ids = tuple(run.run_id for run in runs)
    histories = Removal(workflow="orders", histories=ids)
    await do("removed histories", removals=(histories,))
    await do("removed runs", removals=(Removal(workflow="orders", runs=ids),))
    await do("removed keys", removals=(Removal(workflow="orders", keys_below=LATER),))


async def test_a_step_takes_no_statement_for_what_it_does_not_use(
    store: Store, counted: Counted
) -> None:
    plain, extended = new_run(), new_parked("a", labels={"region": "eu"})
    await store.store([group(plain, extended)])
    await store.store([group(admitted(extended))])
    seen: list[list[str]] = []
    for _ in range(2):  # the second time all statements are prepared
        counted[1].taken()
        plain = step(plain, data=b"2")
        await store.store([group(plain)])
        seen.append(counted[1].taken())
    written = " ".join(statement.lower() for statement in seen[1])
    written = written.replace("error on error", "")  # of MariaDB's JSON_TABLE
    for name in ("lane", "parking_key", "parking_changes", "labels", "error"):
        assert name not in written
    assert "data_version" not in written.replace("records.data_version", "", 1)


def sent(ids: Sequence[RunId]) -> list[Event]:
    return [
        Event(run_id=run_id, topic=Topic(f"t{at % 7}"), partition=at, version=Version(1), status=1)
        for at, run_id in enumerate(ids)
    ]


def timeouts(records: Sequence[Record]) -> list[Timeout]:
    return [
        Timeout(
            key=TimeoutKey(record.run_id, record.visit, "payment"),
            workflow="orders",
            status=1,
            partition=at,
            due_at=record.created_at - timedelta(hours=1),
        )
        for at, record in enumerate(records)
    ]
