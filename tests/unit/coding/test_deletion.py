"""Runs with codecs whose data is deleted, or which are removed: keys and objects go with them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.coding.vaults import SECRET, At, Parcel, Vaults, vaults
from workflow_ray import Handle, RunState
from workflow_ray.coding import coded
from workflow_ray.engine.data_deletion import delete_data
from workflow_ray.engine.next_version import Next
from workflow_ray.errors import CallbackError, StoreUnavailable
from workflow_ray.records import (
    Cause,
    Committed,
    Conflict,
    OnceResult,
    Removal,
    Version,
    WriteGroup,
    deletion_entry,
    new_write_id,
)
from workflow_ray.testing import WorkflowTester
from workflow_ray_adapters.memory import MemoryStore

LARGE = "".join(map(chr, range(256, 3000)))
"""Data that does not get small when it is compressed."""


@pytest.fixture
def made(tmp_path: Path) -> Vaults:
    return vaults(tmp_path, retention=timedelta(days=1))


@pytest.fixture
async def tester(made: Vaults) -> AsyncIterator[WorkflowTester]:
    async with made.tester() as tester:
        yield tester


def store_of(tester: WorkflowTester) -> MemoryStore:
    """The store beneath the codecs."""
    return tester._store  # pyright: ignore[reportPrivateUsage]  # codecs are around it


async def stored(made: Vaults, tester: WorkflowTester) -> Handle[Parcel, At]:
    """A finished run that has an object."""
    handle = await tester.client(made.parcels).trigger("parcel-1", Parcel(content=LARGE))
    await handle.wait_for(At.DELIVERED)
    await tester.callback(made.paid, "parcel-1", f"{SECRET} {LARGE}")
    assert handle.run_id in made.keys.keys
    assert list(made.claims.rglob(handle.run_id))
    return handle


def is_forgotten(made: Vaults, run_id: str) -> bool:
    return run_id not in made.keys.keys and not list(made.claims.rglob(run_id))


async def test_a_deletion_of_data_deletes_the_key_and_the_objects_of_the_run(
    made: Vaults, tester: WorkflowTester
) -> None:
    handle = await stored(made, tester)
    await handle.delete_data()
    await tester.settle()
    run = await handle.get()
    assert run.run_state is RunState.DATA_DELETED
    assert run.data == Parcel(content="removed", note="y" * 6000)
    assert is_forgotten(made, handle.run_id)
    assert {entry.unreadable is None for entry in (await handle.history())[-1:]} == {True}


async def test_retention_deletes_the_key_and_the_objects_of_a_run(
    made: Vaults, tester: WorkflowTester
) -> None:
    handle = await stored(made, tester)
    await tester.advance(timedelta(days=2))
    assert [run async for run in tester.client(made.parcels).runs()] == []
    assert is_forgotten(made, handle.run_id)


async def test_what_is_encoded_for_a_deleted_run_and_refused_is_deleted_again(
    made: Vaults, tester: WorkflowTester
) -> None:
    handle = await stored(made, tester)
    (before,) = await store_of(tester).lookup([handle.run_id])
    assert before is not None
    await handle.delete_data()
    await tester.settle()
    assert is_forgotten(made, handle.run_id)
    with pytest.raises(CallbackError):
        await handle.callback(made.paid, f"{SECRET} {LARGE}")
    assert is_forgotten(made, handle.run_id)
    store = coded(store_of(tester), made.parcels)
    data = Parcel(content=f"{LARGE} of a step that was late").model_dump_json().encode()
    late = Next(before, "a role", new_write_id()).stay(Cause.STEP, data=data)
    (answer,) = await store.store([WriteGroup(writes=(late,))])
    assert isinstance(answer, Committed)
    assert isinstance(answer.results[0], Conflict)
    assert is_forgotten(made, handle.run_id)
    result = OnceResult(run_id=handle.run_id, visit=Version(1), name="print", result=data)
    await store.store([WriteGroup(results=(result,))])
    assert is_forgotten(made, handle.run_id)


async def test_a_repeated_callback_of_a_deleted_run_leaves_nothing(
    made: Vaults, tester: WorkflowTester
) -> None:
    handle = await tester.client(made.parcels).trigger("parcel-1", Parcel())
    await handle.wait_for(At.DELIVERED)
    message = f"{SECRET} {LARGE}"
    first = await tester.callback(made.paid, "parcel-1", message, idempotency_key="paid")
    await handle.delete_data()
    await tester.settle()
    assert is_forgotten(made, handle.run_id)
    again = await tester.callback(made.paid, "parcel-1", message, idempotency_key="paid")
    assert again.status is first.status
    assert is_forgotten(made, handle.run_id)


@pytest.mark.parametrize("is_removed", [False, True])
async def test_a_deletion_is_repeated_until_the_place_of_the_keys_answers(
    made: Vaults, tester: WorkflowTester, is_removed: bool
) -> None:
    handle = await stored(made, tester)
    (record,) = await store_of(tester).lookup([handle.run_id])
    assert record is not None
    group = WriteGroup(removals=(Removal(workflow="parcels", runs=(handle.run_id,)),))
    if not is_removed:
        write = delete_data(record, None, data_version=1, by="a role", write_id=new_write_id())
        group = WriteGroup(writes=(write,))
    store = coded(store_of(tester), made.parcels)
    made.keys.failures = 1
    with pytest.raises(StoreUnavailable):
        await store.store([group])
    assert not is_forgotten(made, handle.run_id)
    (answer,) = await store.store([group])
    assert isinstance(answer, Committed)
    assert is_forgotten(made, handle.run_id)


async def test_a_deletion_that_a_crash_has_cut_off_is_finished(
    made: Vaults, tester: WorkflowTester
) -> None:
    handle = await stored(made, tester)
    await handle.delete_data()
    await tester.settle()
    await made.keys.add({handle.run_id: b"key"})
    entry = deletion_entry("parcels", handle.run_id)  # as the holder that died has left it
    await store_of(tester).store([WriteGroup(set_aside=(entry,))])
    await tester.settle()
    assert is_forgotten(made, handle.run_id)
