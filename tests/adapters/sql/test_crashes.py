"""A process that dies between two statements of a transaction leaves all of the transaction, or
nothing.
"""

from pathlib import Path

import pytest

from workflow_ray.ports import SystemClock
from workflow_ray.records import Committed, Position, Stored, Version, WriteGroup
from workflow_ray.testing.conformance.runs import (
    CREATED_TOPIC,
    PAID_CONSUMERS,
    acquire,
    event,
    group,
    names,
    new_run,
    received,
    step,
    store_all,
    stored,
    versions,
)
from workflow_ray_adapters.sql import SqliteAdapter
from workflow_ray_adapters.sql.session import Session

from .conftest import Opener
from .wreckage import Wreckage


@pytest.fixture
def wreckage(path: Path, tmp_path: Path, store_id: str) -> Wreckage:
    return Wreckage(path, tmp_path / "wreckage")


async def test_a_crash_between_any_two_statements_loses_and_doubles_nothing(
    path: Path, opened: Opener, wreckage: Wreckage, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(key="k", events=[event()])
    async with opened() as store:
        fence = await acquire(store)
        await store_all(store, run)
        await store.move(fence, limit=10, wait=0)
        moving = step(await stored(store, run.run_id), events=[event()])
        begun = new_run(events=[event()])
        transition = group(moving, begun, fence=fence, positions=[Position(PAID_CONSUMERS, 0, 1)])
        for name in ("rows", "run"):
            monkeypatch.setattr(Session, name, wreckage.after(getattr(Session, name)))
        await store.store([transition])
        await store.move(fence, limit=10, wait=0)
        monkeypatch.undo()
    seen = {await recovered(copy, transition) for copy in wreckage.copies}
    assert seen == {1, 2}, "some crashes came before the commit, and some after it"


async def recovered(path: Path, transition: WriteGroup) -> int:
    """Return the version that the crash left of the run that moves, after checking all the rest and
    repeating the transition.
    """
    moving, begun = transition.writes
    fence = transition.fence
    assert fence
    async with SqliteAdapter().open_records(f"sqlite:///{path}", clock=SystemClock()) as store:
        left = await versions(store, moving.run_id)
        assert (
            len(await versions(store, begun.run_id))
            == len(await store.positions(PAID_CONSUMERS))
            == len(left) - 1
        )
        (answer,) = await store.store([transition])
        assert answer == Committed(
            (Stored(moving.run_id, Version(2)), Stored(begun.run_id, Version(1)))
        )
        assert await versions(store, moving.run_id) == [1, 2]
        assert await store.positions(PAID_CONSUMERS) == list(transition.positions)
        await store.move(fence, limit=10, wait=0)
        published = await received(store, topic=CREATED_TOPIC)
        assert names(published) == [(moving.run_id, 1), (moving.run_id, 2), (begun.run_id, 1)]
        return len(left)
