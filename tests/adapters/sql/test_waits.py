"""What runs wait for, where it depends on the database: locks, statements, and long inboxes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy.util import await_only

from workflow_ray.ports import SystemClock
from workflow_ray.records import (
    Awaits,
    ChildrenEnd,
    Message,
    MessageOutcome,
    MessageQuery,
    NewSetAside,
    OnceResult,
    Position,
    Posted,
    Record,
    RunId,
    RunState,
    SetAsideKey,
    SetAsideQuery,
    Stored,
    Version,
    Write,
    WriteGroup,
)
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.kin import (
    ENDED,
    GATHERED,
    child,
    child_key,
    children_key,
    end_of,
    parent_of,
    reported_ends,
    reported_gatherings,
    starting,
)
from workflow_ray.testing.conformance.posts import (
    callback,
    commit,
    end,
    fail,
    failure,
    inbox,
    key,
    message_of,
    post,
    rest,
    resting_run,
    stay,
    taking,
)
from workflow_ray.testing.conformance.runs import (
    CREATED,
    PAID,
    PAID_CONSUMERS,
    acquire,
    event,
    group,
    new_run,
    step,
    store_all,
    stored,
    versions,
)
from workflow_ray_adapters.sql import SqliteAdapter, families, inboxes, messages, waits
from workflow_ray_adapters.sql.database import Aborted
from workflow_ray_adapters.sql.mariadb import faults as of_mariadb
from workflow_ray_adapters.sql.postgresql import faults as of_postgresql
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.store import SqlStore

from . import databases
from .conftest import Opener
from .pairs import Pair, open_pair
from .stores import opened as open_store
from .wreckage import Wreckage

SERVERS = databases.ALL[1:]


@pytest.fixture(params=databases.ALL)
async def pair(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Pair]:
    async with open_pair(databases.empty(request.param, request, tmp_path), monkeypatch) as pair:
        yield pair


@pytest.fixture
async def store(each_url: str) -> AsyncIterator[SqlStore]:
    async with open_store(each_url, SystemClock()) as store:
        yield store


# --- locks --------------------------------------------------------------------------------------


async def test_the_last_of_children_that_end_in_two_processes_is_found_once(pair: Pair) -> None:
    children = [child(link=GATHERED) for _ in range(40)]
    parent = await parent_of(pair.here, *children)
    stores = (pair.here, pair.there)
    await asyncio.gather(*(end_of(stores[at % 2], each) for at, each in enumerate(children)))
    assert await inbox(pair.here, parent.run_id) == [children_key(parent)]
    assert await reported_gatherings(pair.there, parent) == [
        ChildrenEnd(since=parent.version, started=40, completed=40)
    ]


async def test_no_end_is_missed_by_a_parent_that_another_process_moves(pair: Pair) -> None:
    children = [child(link=ENDED) for _ in range(20)]
    parent = await parent_of(pair.here, *children)

    async def move() -> None:
        before: Write = parent
        for _ in range(10):
            before = stay(before, visit=parent.visit, status=PAID)
            assert await store_all(pair.there, before) == [Stored(before.run_id, before.version)]

    await asyncio.gather(move(), *(end_of(pair.here, each) for each in children))
    ended = await reported_ends(pair.there, parent)
    assert {each.run_id for each in ended} == {each.write.run_id for each in children}
    assert (await stored(pair.here, parent.run_id)).awaits is Awaits.EVENT


@pytest.mark.parametrize("pair", SERVERS, indirect=True)
async def test_runs_that_are_each_others_parents_can_end_at_the_same_time(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = new_run(), new_run()
    await store_all(pair.here, one, other)
    first = starting(one, _joining(other), status=PAID)
    second = starting(other, _joining(one), status=PAID)
    await store_all(pair.here, first, second)
    both_locked = asyncio.Barrier(2)
    waiting = 2
    find_parents = families.find_parents

    def find_when_both_are_locked(*args: Any) -> Any:
        nonlocal waiting
        found = find_parents(*args)
        if waiting:
            waiting -= 1
            await_only(both_locked.wait())
        return found

    aborts: list[str] = []

    def aborted(message: str) -> Aborted:
        aborts.append(message)
        return Aborted(message)

    for faults in (of_mariadb, of_postgresql):
        monkeypatch.setattr(faults, "Aborted", aborted)
    monkeypatch.setattr(waits, "find_parents", find_when_both_are_locked)
    answers = await asyncio.gather(
        store_all(pair.here, end(first)), store_all(pair.there, end(second))
    )
    assert [*answers[0], *answers[1]] == [
        Stored(one.run_id, Version(3)),
        Stored(other.run_id, Version(3)),
    ]
    for run in (one, other):
        assert (await stored(pair.here, run.run_id)).run_state is RunState.COMPLETED
    # PostgreSQL finds out about a deadlock after a second only
    assert aborts
    assert not [message for message in aborts if "deadlock" in message.lower()]


def _joining(run: Write) -> Any:
    assert run.new
    return child(run.new.foreign_id, link=ENDED, workflow=run.new.workflow, joins=True)


async def test_a_key_that_two_processes_post_to_two_runs_is_stored_once(pair: Pair) -> None:
    one, other = await resting_run(pair.here), await resting_run(pair.here)
    answers = await asyncio.gather(
        *(post(pair.here, callback(one)) for _ in range(10)),
        *(post(pair.there, callback(other)) for _ in range(10)),
    )
    posted = [answer for (answer,) in answers]
    assert len({answer.run_id for answer in posted if isinstance(answer, Posted)}) == 1
    counted = [(await stored(pair.here, run.run_id)).messages for run in (one, other)]
    assert sorted(counted) == [0, 1]


async def test_a_message_to_a_foreign_id_finds_the_run_that_began_while_it_waited(
    pair: Pair,
) -> None:
    for at in range(20):
        run = await resting_run(pair.here, f"order-{at}")
        successor = replace(new_run(f"order-{at}"), awaits=Awaits.MESSAGE, asks=False)
        message = callback(None, f"m-{at}", foreign_id=f"order-{at}")
        _, ((answer,)) = await asyncio.gather(
            store_all(pair.there, end(run), successor), post(pair.here, message)
        )
        assert getattr(answer, "is_new", False), "one of the runs accepts it at any time"


# --- statements ---------------------------------------------------------------------------------


async def test_a_run_that_uses_nothing_of_it_takes_no_statement_for_it(
    opened: Opener, store_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[str]()

    def noting(method: Callable[..., Any]) -> Callable[..., Any]:
        def noted(self: Session, statement: Any, *rows: Any, **values: Any) -> Any:
            if not rows or rows[0]:
                seen.append(f"{statement.__module__.rpartition('.')[2]}.{statement.__name__}")
            return method(self, statement, *rows, **values)

        return noted

    async with opened() as store:
        fence = await acquire(store)
        await store_all(store, new_run())
        for name in ("execute", "run"):
            monkeypatch.setattr(Session, name, noting(getattr(Session, name)))
        run = new_run(key="k", events=[event()])
        moved = step(run, events=[event()])
        for write in (run, moved, end(moved)):
            await store.store(
                [group(write, fence=fence, positions=[Position(PAID_CONSUMERS, 0, 1)])]
            )
    of_records = {name for name in seen if not name.startswith(("positions.", "outbox."))}
    assert of_records == {
        "roles._epochs",
        "existing._unfinished",
        "existing._keys",
        "existing._runs",
        "writes._insert_record",
        "writes._insert_key",
        "writes._insert_entry",
        "writes._go_on",
        "writes._finish",
        "counters._count",
    }


async def test_messages_take_one_statement_and_large_payloads_another(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await resting_run(store)
    query = MessageQuery(run_ids=(run.run_id,), due=True, limit=1000)
    limit = messages.payload_limit(query)
    posted = [
        replace(callback(run, f"m-{at}"), payload=bytes([at]) * size)
        for at, size in enumerate((0, 10, limit, limit + 1, 10))
    ]
    taken = list[str]()
    execute = Session.execute

    def noted(self: Session, statement: Any, **values: Any) -> None:
        if statement.__module__ == messages.__name__:  # others are the poller's
            taken.append(statement.__name__)
        execute(self, statement, **values)

    monkeypatch.setattr(Session, "execute", noted)
    for count, statements in ((3, 1), (5, 2)):
        await post(store, *posted[:count])
        taken.clear()
        found = await store.messages(query)
        assert [each.payload for each in found] == [each.payload for each in posted[:count]]
        assert len(taken) == statements, taken


# --- long inboxes -------------------------------------------------------------------------------


async def filled(store: SqlStore, count: int) -> Record:
    """Store a run with that many messages that its status accepts."""
    run = await resting_run(store)
    await post(store, *(callback(run, f"m-{at:04}") for at in range(count)))
    return run


def next_stay(run: Record | Write, at: int) -> Write:
    return replace(stay(run, visit=1), takes=(key(f"m-{at:04}"),))


async def test_messages_of_a_long_inbox_are_taken_from_any_place(store: SqlStore) -> None:
    run = await filled(store, 250)
    before: Record | Write = run
    for at in (240, 0, 120):
        before = next_stay(before, at)
        assert await store_all(store, before) == [Stored(run.run_id, before.version)]
    left = await inbox(store, run.run_id)
    assert left == [key(f"m-{at:04}") for at in range(250) if at not in (240, 0, 120)]
    assert (await stored(store, run.run_id)).awaits is Awaits.EVENT


async def test_a_message_behind_many_that_are_not_due_wakes_the_run(store: SqlStore) -> None:
    run = await filled(store, 130)
    await fail(
        store,
        *[failure(await message_of(store, key(f"m-{at:04}")), retry_in=3600) for at in range(120)],
    )
    fence = await acquire(store)
    entries = await store.pending(fence, limit=1000, wait=0)
    await store.published(fence, [entry.id for entry in entries])
    await store_all(store, next_stay(run, 125))
    (woken,) = await store.pending(fence, limit=1000, wait=0)
    assert woken.event is not None
    assert (woken.event.run_id, woken.event.version) == (run.run_id, 0)


async def test_messages_of_a_long_inbox_fail_and_expire_without_a_look_at_all_others(
    each_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wholly_read: list[str] = []
    find_waiting = inboxes.find_waiting

    def noted(session: Session, run_ids: Collection[RunId]) -> list[Message]:
        wholly_read.extend(run_ids)
        return find_waiting(session, run_ids)

    monkeypatch.setattr(waits, "find_waiting", noted)
    clock = FakeClock()
    async with open_store(each_url, clock) as store:
        run = await filled(store, 150)
        soon = [
            callback(run, f"soon-{at}", statuses=(PAID,), kept_at=(CREATED,), keep=5.0)
            for at in range(20)
        ]
        await post(store, *soon)
        last = await message_of(store, key("m-0149"))
        await fail(store, failure(last), failure(await message_of(store, key("m-0000"))))
        await clock.advance(timedelta(seconds=10))
        await commit(store, WriteGroup(expires=("orders",)))
        assert wholly_read == []
        now = await stored(store, run.run_id)
        assert (now.awaits, now.messages) == (Awaits.EVENT, 148)
        assert await inbox(store, run.run_id) == [key(f"m-{at:04}") for at in range(1, 149)]
        assert (await message_of(store, last.key)).outcome is MessageOutcome.FAILED
        assert (await message_of(store, soon[0].key)).outcome is MessageOutcome.EXPIRED


async def test_the_last_messages_of_a_long_inbox_that_fail_let_the_run_wait(
    store: SqlStore,
) -> None:
    run = await filled(store, 120)
    await fail(store, *[failure(await message_of(store, key(f"m-{at:04}"))) for at in range(120)])
    now = await stored(store, run.run_id)
    assert (now.awaits, now.messages) == (Awaits.MESSAGE, 0)


async def test_a_run_that_leaves_its_status_settles_all_of_a_long_inbox(store: SqlStore) -> None:
    run = await filled(store, 250)
    await store_all(store, rest(run))
    assert await inbox(store, run.run_id) == []


# --- entries set aside --------------------------------------------------------------------------


async def test_entries_of_logs_with_long_names_are_told_apart(store: SqlStore) -> None:
    logs = [f"{'x' * 400}-{name}" for name in ("one", "two")]
    keys = [SetAsideKey("carts", 0, 1, log) for log in logs]
    entries = [
        NewSetAside(key=each, event_id=each.log[-3:], event=b"{}", attempt=1) for each in keys
    ]
    await commit(store, WriteGroup(set_aside=tuple(entries)))
    found = await store.set_aside(SetAsideQuery(group="carts"))
    assert {(each.key, each.event_id) for each in found} == {(keys[0], "one"), (keys[1], "two")}
    (second,) = await store.set_aside(SetAsideQuery(group="carts", after=found[0].key))
    assert second == found[1]
    await commit(store, WriteGroup(taken_back=(found[0].key,)))
    assert await store.set_aside(SetAsideQuery(group="carts")) == [found[1]]


# --- crashes ------------------------------------------------------------------------------------


async def test_results_of_a_visit_that_earlier_code_has_left_are_not_read(
    each_url: str, store: SqlStore
) -> None:
    run = new_run()
    await store_all(store, run)
    kept = OnceResult(run_id=run.run_id, visit=Version(1), name="charge", result=b"1")
    await commit(store, WriteGroup(results=(kept,)))
    assert await store.results([run.run_id]) == [kept]
    await databases.execute(
        each_url, f"UPDATE records SET version = 2, visit = 2 WHERE run_id = '{run.run_id}'"
    )
    assert await store.results([run.run_id]) == []


async def test_a_crash_between_any_two_statements_leaves_all_of_a_family_or_nothing(
    path: Path, opened: Opener, store_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wreckage = Wreckage(path, tmp_path / "wreckage")
    async with opened() as store:
        run = await resting_run(store)
        await post(store, callback(run))
        started = child(link=ENDED)
        parent = replace(taking(run, key("m-1")), children=(started,))
        ended = end(started.write)
        for name in ("rows", "run"):
            monkeypatch.setattr(Session, name, wreckage.after(getattr(Session, name)))
        await store_all(store, parent, ended)
        await store.results([run.run_id])
        monkeypatch.undo()
    seen = {await _recovered(copy, parent, ended) for copy in wreckage.copies}
    assert seen == {1, 2}, "some crashes came before the commit, and some after it"


async def _recovered(path: Path, parent: Write, ended: Write) -> int:
    """Return the version that the crash left of the parent, after repeating the writes."""
    async with SqliteAdapter().open_records(f"sqlite:///{path}", clock=SystemClock()) as store:
        left = len(await versions(store, parent.run_id))
        assert len(await versions(store, ended.run_id)) == 2 * (left - 1)
        message = (await message_of(store, key("m-1"))).outcome
        assert (message is None) == (left == 1)
        assert await store_all(store, parent, ended) == [
            Stored(parent.run_id, Version(2)),
            Stored(ended.run_id, Version(2)),
        ]
        assert await inbox(store, parent.run_id) == [child_key(parent, ended.run_id)]
        assert (await stored(store, parent.run_id)).status == PAID != CREATED
        return left
