"""Two processes move, end and message the same runs at once: nothing is missed or found twice."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy.util import await_only

from workflow_ray.records import Awaits, ChildrenEnd, Posted, RunState, Stored, Version, Write
from workflow_ray.testing.conformance.kin import (
    ENDED,
    GATHERED,
    child,
    children_key,
    end_of,
    parent_of,
    reported_ends,
    reported_gatherings,
    starting,
)
from workflow_ray.testing.conformance.posts import callback, end, inbox, post, resting_run, stay
from workflow_ray.testing.conformance.runs import PAID, new_run, store_all, stored
from workflow_ray_adapters.sql import families, waits
from workflow_ray_adapters.sql.database import Aborted
from workflow_ray_adapters.sql.mariadb import faults as of_mariadb
from workflow_ray_adapters.sql.postgresql import faults as of_postgresql

from . import databases
from .pairs import Pair

SERVERS = databases.ALL[1:]


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


@pytest.mark.parametrize("empty_url", SERVERS, indirect=True)
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
