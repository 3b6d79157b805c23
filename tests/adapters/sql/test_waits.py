"""What runs wait for, where it depends on the database: statements, long names and crashes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_ray.ports import SystemClock
from workflow_ray.records import (
    NewSetAside,
    OnceResult,
    Position,
    SetAsideKey,
    SetAsideQuery,
    Stored,
    Version,
    Write,
    WriteGroup,
)
from workflow_ray.testing.conformance.kin import ENDED, child, child_key
from workflow_ray.testing.conformance.posts import (
    callback,
    commit,
    end,
    inbox,
    key,
    message_of,
    post,
    resting_run,
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
from workflow_ray_adapters.sql import SqliteAdapter
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.store import SqlStore

from . import databases
from .conftest import Opener
from .wreckage import Wreckage

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
        "record_statements.insert_record",
        "record_statements.insert_key",
        "record_statements.insert_entry",
        "record_statements.go_on",
        "record_statements.finish",
        "counters.increase",
    }


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
