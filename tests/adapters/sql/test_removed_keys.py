"""Removals of keys: each begins where the previous one has ended, and not at the oldest run."""

import pytest
from msgspec.structs import replace

from workflow_ray.records import Committed, Removal, WriteGroup
from workflow_ray.testing.conformance.posts import callback, commit, end, post
from workflow_ray.testing.conformance.removing import LATER, ended, remove
from workflow_ray.testing.conformance.runs import new_run, store_all
from workflow_ray_adapters.sql import removals
from workflow_ray_adapters.sql.store import SqlStore

ASKED = Removal(workflow="orders", keys_below=LATER)


async def carried_out(store: SqlStore, removal: Removal) -> Committed:
    return await commit(store, WriteGroup(removals=(removal,)))


async def test_a_removal_does_not_look_again_at_keys_that_stay(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else many keys of runs that are kept are read again for each few that are removed."""
    monkeypatch.setattr(removals, "AT_ONCE", 2)
    early = await ended(store, key="early")  # it stays until the first removal has passed it
    runs = [await ended(store, key=f"cart-{at}") for at in range(5)]
    await remove(store, *runs)
    first = await carried_out(store, ASKED)
    assert (first.removed, first.keys_left) == ((2,), (f"{runs[1].run_id}/-",))
    await remove(store, early)
    removed: list[int] = []
    answer = first
    while answer.keys_left != ("",):
        answer = await carried_out(store, replace(ASKED, keys_after=answer.keys_left[0]))
        removed += answer.removed
    assert removed == [2, 1]
    assert (await carried_out(store, ASKED)).removed == (1,)


async def test_keys_and_messages_have_a_place_each(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "AT_ONCE", 2)
    runs = [new_run(key=f"cart-{at}") for at in range(3)]
    await store_all(store, *runs)
    messages = [callback(runs[1], f"m-{at}") for at in range(5)]
    await post(store, *messages)
    await store_all(store, *(end(run) for run in runs))
    await remove(store, *runs)
    answer, removed, left = await carried_out(store, ASKED), list[int](), list[str]()
    while answer.keys_left != ("",):
        removed += answer.removed
        left += answer.keys_left
        answer = await carried_out(store, replace(ASKED, keys_after=left[-1]))
    assert [*removed, *answer.removed] == [4, 3, 1]
    assert left == [f"{runs[1].run_id}/{runs[1].run_id}", f"-/{runs[1].run_id}"]


async def test_other_removals_leave_no_keys(store: SqlStore) -> None:
    run = await ended(store, key="cart-1")
    runs = Removal(workflow="orders", runs=(run.run_id,))
    assert (await carried_out(store, runs)).keys_left == ("",)
