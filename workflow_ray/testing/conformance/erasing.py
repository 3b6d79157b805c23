"""Cases of writes that erase what earlier versions of their run hold."""

from typing import Any

from msgspec.structs import replace

from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    Cause,
    Conflict,
    ErrorDetail,
    MessageOutcome,
    MessageQuery,
    OnceResult,
    Posted,
    Removal,
    RunState,
    Stored,
    Version,
    Write,
    WriteGroup,
)
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.posts import (
    CALLERS,
    callback,
    commit,
    end,
    fail,
    failure,
    keep_result,
    message_of,
    post,
    store_at_once,
    taking,
)
from workflow_ray.testing.conformance.runs import (
    new_run,
    step,
    store_all,
    stored,
    stored_run,
)

ERROR = ErrorDetail(type="ValueError", message="Zoë has no card")


class ErasingCases(Conformance):
    async def test_data_reasons_and_errors_of_earlier_versions_are_cleared(
        self, store: RecordStore
    ) -> None:
        run = new_run("order-1", key="cart-1", data=b"Zo")
        failed = replace(step(run), cause=Cause.RETRY, reason="Zoë has no card", error=ERROR)
        ended = end(step(failed, data=b"Zoe"))
        await store_all(store, run, failed, step(failed, data=b"Zoe"), ended)
        before = await store.history(run.run_id)
        erasing = erased(ended, data=b"", reason="asked by mail")
        assert await store_all(store, erasing) == [Stored(run.run_id, Version(5))]
        entries = await store.history(run.run_id)
        assert [entry.data for entry in entries] == [b"", None, b"", None, b""]
        assert [entry.reason for entry in entries] == [None] * 4 + ["asked by mail"]
        assert [entry.error for entry in entries] == [None] * 5
        cleared = [
            replace(entry, data=None if entry.data is None else b"", reason=None, error=None)
            for entry in before
        ]
        assert entries[:4] == cleared
        record = await stored(store, run.run_id)
        assert (record.data, record.reason, record.version) == (b"", "asked by mail", 5)
        assert (record.foreign_id, record.idempotency_key) == ("order-1", "cart-1")

    async def test_other_runs_and_later_versions_keep_theirs(self, store: RecordStore) -> None:
        other = await stored_run(store)
        run = new_run(data=b"Zo")
        await store_all(store, run, end(run))
        erasing = erased(end(run), data=b"{}")
        later = replace(
            step(erasing, run_state=RunState.DATA_DELETED, data=b"[]"), reason="done", error=ERROR
        )
        await store_all(store, erasing)
        await store_all(store, later)
        entries = await store.history(run.run_id)
        assert [entry.data for entry in entries] == [b"", None, b"{}", b"[]"]
        assert (entries[3].reason, entries[3].error) == ("done", ERROR)
        assert [entry.data for entry in await store.history(other.run_id)] == [other.data]

    async def test_versions_that_the_same_call_has_written_are_cleared_too(
        self, store: RecordStore
    ) -> None:
        run = new_run(data=b"Zo")
        ended = replace(end(run, run_state=RunState.CANCELLED), reason="Zoë is gone", data=b"Z")
        erasing = erased(ended, data=b"")
        later = replace(step(erasing, run_state=RunState.DATA_DELETED), reason="kept")
        await store_all(store, run, ended, erasing, later)
        entries = await store.history(run.run_id)
        assert [(entry.data, entry.reason) for entry in entries] == [
            (b"", None),
            (b"", None),
            (b"", None),
            (None, "kept"),
        ]

    async def test_payloads_and_errors_of_messages_are_cleared_and_their_keys_stay(
        self, store: RecordStore
    ) -> None:
        run, other = await stored_run(store), await stored_run(store)
        digest = bytes(range(16))
        taken = callback(run, "m-1", payload=b"Zo", digest=digest)
        failed = callback(run, "m-2", payload=b"Zoe")
        await post(store, taken, failed, callback(other, "m-3", payload=b"other"))
        await fail(store, failure(await message_of(store, failed.key), reason="Zoë"))
        move = taking(run, taken.key)
        await store_all(store, move, end(move))
        before = [await message_of(store, message.key) for message in (taken, failed)]
        await store_all(store, erased(end(move)))
        found = [await message_of(store, message.key) for message in (taken, failed)]
        assert found == [replace(message, payload=b"", reason=None) for message in before]
        assert [message.outcome for message in found] == [
            MessageOutcome.TAKEN,
            MessageOutcome.FAILED,
        ]
        assert (await message_of(store, callback(other, "m-3").key)).payload == b"other"
        again = [Posted(taken.key, run.run_id, digest, is_new=False)]
        assert await post(store, taken) == again
        listed = await store.messages(MessageQuery(run_ids=(run.run_id,), failed=True))
        assert [(message.payload, message.reason) for message in listed] == [(b"", None)]

    async def test_what_is_empty_stays_empty(self, store: RecordStore) -> None:
        run = await stored_run(store)
        message = callback(run, "m-1", payload=b"")
        await post(store, message)
        move = taking(run, message.key)
        first = erased(end(move), data=b"")
        await store_all(store, move, end(move))
        await store_all(store, first)
        await store_all(store, erased(first, data=b""))
        assert (await message_of(store, message.key)).payload == b""
        entries = await store.history(run.run_id)
        assert [entry.data for entry in entries] == [b"", None, None, b"", b""]

    async def test_what_was_erased_can_be_erased_and_removed(self, store: RecordStore) -> None:
        run = await stored_run(store)
        message = callback(run, payload=b"Zo")
        await post(store, message)
        move = taking(run, message.key)
        await store_all(store, move, end(move))
        first = erased(end(move))
        second = erased(first)
        await store_all(store, first)
        await store_all(store, second)
        entries = await store.history(run.run_id)
        assert [entry.data for entry in entries] == [b"", None, None, b"", b""]
        assert (await message_of(store, message.key)).payload == b""
        removal = Removal(workflow="orders", runs=(run.run_id,))
        assert (await commit(store, WriteGroup(removals=(removal,)))).removed == (1,)
        assert (await message_of(store, message.key)).payload == b""

    async def test_results_of_once_are_removed(self, store: RecordStore) -> None:
        run, other = await stored_run(store), await stored_run(store)
        results = [
            OnceResult(run_id=each.run_id, visit=Version(1), name="charge", result=b"Zo")
            for each in (run, other)
        ]
        await keep_result(store, *results)
        await store_all(store, erased(run, visit=run.visit, run_state=RunState.PAUSED))
        assert await store.results([run.run_id, other.run_id]) == [results[1]]
        assert not (await stored(store, run.run_id)).has_results

    async def test_a_write_that_is_left_out_erases_nothing(self, store: RecordStore) -> None:
        run = new_run(data=b"Zo")
        await store_all(store, run, end(run))
        late = erased(run)
        assert await store_all(store, late) == [Conflict(run.run_id, Version(2))]
        assert (await store.history(run.run_id))[0].data == b"Zo"

    async def test_a_write_that_is_repeated_erases_nothing(self, store: RecordStore) -> None:
        run = new_run(data=b"Zo")
        await store_all(store, run, end(run))
        erasing = erased(end(run), data=b"")
        await store_all(store, erasing)
        await store_all(store, step(erasing, run_state=RunState.DATA_DELETED, data=b"kept"))
        assert await store_all(store, erasing) == [Stored(run.run_id, Version(3))]
        entries = await store.history(run.run_id)
        assert [entry.data for entry in entries] == [b"", None, b"", b"kept"]

    async def test_one_of_many_writers_erases(self, store: RecordStore) -> None:
        run = new_run(data=b"Zo")
        await store_all(store, run, end(run))
        writes = [erased(end(run), reason=f"{at}") for at in range(CALLERS)]
        answers = await store_at_once(store, writes)
        (winner,) = [at for at, answer in enumerate(answers) if isinstance(answer, Stored)]
        entries = await store.history(run.run_id)
        assert [(entry.data, entry.reason) for entry in entries] == [
            (b"", None),
            (None, None),
            (b"", f"{winner}"),
        ]


def erased(before: Any, *, data: bytes = b"", **changes: Any) -> Write:
    """Make a write that erases what the run holds."""
    write = step(before, run_state=RunState.DATA_DELETED, data=data)
    return replace(write, cause=Cause.DATA_DELETED, erases=True, **changes)
