"""Runs of workflows with codecs: everything works, and the store holds nothing readable."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.coding.first_writes import write_with_key
from tests.unit.coding.vaults import SECRET, At, Label, Parcel, Stage, Vaults, vaults
from workflow_ray import Client, Encryption, TriggerOutcome, Workflow, new_key
from workflow_ray.coding import coded, coded_transactions, sweep
from workflow_ray.engine.idempotency import digest_of
from workflow_ray.engine.next_version import Next
from workflow_ray.errors import (
    CallbackFailed,
    EncodedData,
    KeyReused,
    RunActive,
    RunNotFound,
    UnreadableData,
)
from workflow_ray.ports import Clock
from workflow_ray.records import (
    Cause,
    Committed,
    KeyUsed,
    MessageQuery,
    Removal,
    RunId,
    RunQuery,
    RunState,
    SetAsideQuery,
    WriteGroup,
    new_write_id,
)
from workflow_ray.testing import WorkflowTester
from workflow_ray_adapters.memory import MemoryStore


@pytest.fixture
def made(tmp_path: Path) -> Vaults:
    return vaults(tmp_path)


@pytest.fixture
async def tester(made: Vaults) -> AsyncIterator[WorkflowTester]:
    async with made.tester() as tester:
        yield tester


def store_of(tester: WorkflowTester) -> MemoryStore:
    """The store beneath the codecs."""
    return tester._store  # pyright: ignore[reportPrivateUsage]  # codecs are around it


def clock_of(tester: WorkflowTester) -> Clock:
    return tester._clock  # pyright: ignore[reportPrivateUsage]  # as above


async def stored_text(tester: WorkflowTester, *workflows: Workflow[Any, Any]) -> str:
    """Everything that the store holds of the runs and their messages, as one text."""
    store, found = store_of(tester), list[Any]()
    for workflow in workflows:
        for record in await store.runs(RunQuery(workflow=workflow.name)):
            found += [record, *await store.history(record.run_id)]
            found += await store.messages(MessageQuery(run_ids=(record.run_id,)))
            found += await store.messages(MessageQuery(run_ids=(record.run_id,), failed=True))
            found += await store.results([record.run_id])
        group = f"{workflow.name}-arrivals-connector"
        found += await store.set_aside(SetAsideQuery(group=group))
    return repr(found)


async def test_a_run_sees_its_data_and_the_store_does_not(
    made: Vaults, tester: WorkflowTester
) -> None:
    client = tester.client(made.parcels)
    handle = await client.trigger("parcel-1", Parcel())
    await handle.wait_for(At.DELIVERED)
    with pytest.raises(CallbackFailed, match=f"refused for {SECRET}"):
        await tester.callback(made.paid, "parcel-1", f"refuse {SECRET}")
    run = await tester.callback(made.paid, "parcel-1", f"{SECRET} is paid")
    await tester.settle()
    assert run.data.note.startswith(SECRET)
    entries = await handle.history()
    assert [entry.data.content for entry in entries if entry.data is not None] == [SECRET] * 2
    reasons = [entry.reason for entry in entries if entry.reason]
    assert len(reasons) == 2
    assert all(SECRET in reason for reason in reasons)
    assert made.seen == [SECRET]
    assert [child.data async for child in handle.children()] == [Label()]
    text = await stored_text(tester, made.parcels, made.labels)
    assert SECRET not in text
    assert "encoded:" in text
    assert not any(SECRET.encode() in path.read_bytes() for path in made.claims.rglob("*.*"))


async def test_a_dead_letter_is_encoded(made: Vaults, tester: WorkflowTester) -> None:
    await tester.feed("arrivals", ("parcel-1", b"good"), ("parcel-2", SECRET.encode()))
    client = tester.client(made.parcels)
    (letter,) = [letter async for letter in client.dead_letters()]
    assert SECRET in letter.error
    content = await client.dead_letters().show(letter.id)
    assert content.event is not None
    assert content.event.data == SECRET.encode()
    assert (await client.latest("parcel-1")).data == Parcel()
    assert SECRET not in await stored_text(tester, made.parcels)
    assert SECRET not in repr(await store_of(tester).set_aside(SetAsideQuery(group="x")))


async def test_a_repeated_trigger_is_known_and_another_one_is_refused(
    made: Vaults, tester: WorkflowTester
) -> None:
    client = tester.client(made.parcels)
    first = await client.trigger("parcel-1", Parcel(), idempotency_key="k")
    again = await client.trigger("parcel-1", Parcel(), idempotency_key="k")
    assert (again.run_id, again.outcome) == (first.run_id, TriggerOutcome.KNOWN)
    with pytest.raises(KeyReused, match="with other data"):
        await client.trigger("parcel-1", Parcel(content="other"), idempotency_key="k")
    with pytest.raises(KeyReused, match="another foreign_id"):
        await client.trigger("parcel-2", Parcel(), idempotency_key="k")
    with pytest.raises(RunActive):
        await client.trigger("parcel-1", Parcel())
    assert set(made.keys.keys) == {first.run_id}  # those that did not start have no key


async def test_a_digest_in_the_store_does_not_confirm_a_guess(
    made: Vaults, tester: WorkflowTester
) -> None:
    client = tester.client(made.parcels)
    handle = await client.trigger("parcel-1", Parcel(), idempotency_key="k")
    answer = await store_of(tester).store([WriteGroup(writes=(write_with_key("parcels", "k"),))])
    assert isinstance(answer[0], Committed)
    (used,) = answer[0].results
    assert isinstance(used, KeyUsed)
    guess = digest_of("parcel-1", made.parcels.encode(Parcel()), None)
    assert used.digest is not None
    assert used.digest[:8] != guess[:8]
    assert used.digest[8:] != guess[8:]
    assert used.first == handle.run_id


async def test_a_repeated_callback_is_known_and_another_one_is_refused(
    made: Vaults, tester: WorkflowTester
) -> None:
    handle = await tester.client(made.parcels).trigger("parcel-1", Parcel())
    await handle.wait_for(At.DELIVERED)
    for _ in range(2):
        await tester.callback(made.paid, "parcel-1", f"{SECRET} 1", idempotency_key="k")
    with pytest.raises(KeyReused):
        await tester.callback(made.paid, "parcel-1", f"{SECRET} 2", idempotency_key="k")


async def test_a_callback_of_a_run_that_does_not_exist_is_refused(
    made: Vaults, tester: WorkflowTester
) -> None:
    with pytest.raises(RunNotFound):
        await tester.callback(made.paid, "parcel-1", SECRET)


async def test_a_client_without_the_codec_says_what_is_missing(
    made: Vaults, tester: WorkflowTester
) -> None:
    handle = await tester.client(made.parcels).trigger("parcel-1", Parcel())
    plain = Workflow("parcels", Parcel, At)
    run = await Client(plain, store_of(tester), clock_of(tester)).handle(handle.run_id).get()
    assert run.status is not None
    with pytest.raises(UnreadableData, match="encoded by 'aes-gcm', a codec that is not at hand"):
        _ = run.data


async def test_a_client_with_another_key_names_the_one_that_is_missing(
    made: Vaults, tester: WorkflowTester
) -> None:
    handle = await tester.client(made.parcels).trigger("parcel-1", Parcel())
    other = Workflow("parcels", Parcel, At, codec=Encryption([new_key("two")], run_keys=made.keys))
    client = Client(other, store_of(tester), clock_of(tester))
    with pytest.raises(EncodedData, match="key 'one' of the encryption is missing") as raised:
        _ = (await client.handle(handle.run_id).get()).data
    assert SECRET not in str(raised.value)


async def test_data_from_before_the_codec_is_read(tmp_path: Path) -> None:
    plain, coded = vaults(tmp_path, codecs=False), vaults(tmp_path)
    async with plain.tester() as tester:
        handle = await tester.client(plain.parcels).trigger("parcel-1", Parcel())
        await handle.wait_for(At.DELIVERED)
        client = Client(coded.parcels, store_of(tester), clock_of(tester))
        assert (await client.handle(handle.run_id).get()).data.content == SECRET
        assert SECRET in await stored_text(tester, plain.parcels)


async def test_a_fork_has_a_key_of_its_own(made: Vaults, tester: WorkflowTester) -> None:
    handle = await tester.client(made.parcels).trigger("parcel-1", Parcel())
    await handle.wait_for(At.DELIVERED)
    fork = await handle.fork(1, foreign_id="parcel-2")
    await fork.wait_for(At.DELIVERED)
    await made.keys.delete([handle.run_id])
    assert (await fork.get()).data == Parcel()


# --- deletion -------------------------------------------------------------------------------------


async def stored_run(made: Vaults, tester: WorkflowTester) -> RunId:
    """A finished run, with an object."""
    handle = await tester.client(made.parcels).trigger("parcel-1", Parcel())
    await handle.wait_for(At.DELIVERED)
    await tester.callback(made.paid, "parcel-1", SECRET + "".join(map(chr, range(256, 3000))))
    return handle.run_id


async def test_a_run_that_is_removed_leaves_no_key_and_no_object(
    made: Vaults, tester: WorkflowTester
) -> None:
    run_id = await stored_run(made, tester)
    assert run_id in made.keys.keys
    assert list(made.claims.rglob(run_id))
    removal = Removal(workflow="parcels", runs=(run_id,))
    store = coded(store_of(tester), made.parcels)
    await store.store([WriteGroup(removals=(removal,))])
    assert run_id not in made.keys.keys
    assert not list(made.claims.rglob(run_id))


async def test_a_run_that_is_not_removed_keeps_its_key(
    made: Vaults, tester: WorkflowTester
) -> None:
    handle = await tester.client(made.parcels).trigger("parcel-1", Parcel())
    removal = Removal(workflow="parcels", runs=(handle.run_id,))
    await coded(store_of(tester), made.parcels).store([WriteGroup(removals=(removal,))])
    assert (await handle.get()).data == Parcel()


async def test_what_is_left_of_deleted_data_stays_readable(
    made: Vaults, tester: WorkflowTester
) -> None:
    run_id = await stored_run(made, tester)
    (record,) = await store_of(tester).lookup([run_id])
    assert record is not None
    left = made.parcels.encode(Parcel(content="deleted", note="y" * 6000))
    write = Next(record, "data", new_write_id()).stay(Cause.DATA_DELETED, data=left)
    erasing = msgspec.structs.replace(write, erases=True, run_state=RunState.COMPLETED)
    await coded(store_of(tester), made.parcels).store([WriteGroup(writes=(erasing,))])
    assert run_id not in made.keys.keys
    assert not list(made.claims.rglob(run_id))
    run = await tester.client(made.parcels).handle(run_id).get()
    assert run.data.content == "deleted"


async def test_a_sweep_finds_what_a_crash_has_left(made: Vaults, tester: WorkflowTester) -> None:
    handle = await tester.client(made.parcels).trigger("parcel-1", Parcel())
    await handle.wait_for(At.DELIVERED)
    old = RunId("01800000-0000-7000-8000-000000000000")
    await made.keys.add({old: b"key"})
    folder = made.claims / old[-2:] / old
    folder.mkdir(parents=True)
    (folder / "0").write_bytes(b"an object")
    await tester.advance(timedelta(hours=2))
    # The fake clock is years ahead, so that every run is old enough.
    assert await sweep(made.parcels, store_of(tester), clock_of(tester)) == 1
    assert set(made.keys.keys) == {handle.run_id}
    assert not folder.exists()
    assert (await handle.get()).data == Parcel()
    assert await sweep(made.parcels, store_of(tester), clock_of(tester)) == 0


def test_a_store_of_a_workflow_without_a_codec_is_not_wrapped(made: Vaults) -> None:
    store, plain = object(), Workflow("plain", Label, Stage)
    assert coded(store, plain) is store  # type: ignore[type-var]  # it is not looked at
    assert coded_transactions(store, plain) is store  # type: ignore[arg-type]  # it is not looked at
