"""Cases of RecordStore.store: new runs, their foreign ids and idempotency keys."""

import asyncio

import pytest

from workflow_ray.errors import WriteRejected
from workflow_ray.ports import RecordStore
from workflow_ray.records import ActiveRun, Conflict, KeyUsed, RunState, Stored, Version
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.runs import (
    check_one_won,
    group,
    new_run,
    results,
    step,
    store_all,
    stored,
    stored_run,
    versions,
)

CALLERS = 50

DIGEST = bytes(range(16))
OTHER_DIGEST = b"\xff\0'\"\\" + b"\0" * 11
"""It contains bytes that are neither text nor JSON."""

FOREIGN_IDS = {
    "one letter": "a",
    "longest": "x" * 255,
    "longest in emoji": "🦄" * 255,
    "quotes": 'it\'s "quoted" `here`; DROP TABLE records --',
    "wildcards": "100%_\\",
    "trailing space": "order ",
    "lines": "two\nlines\tand a tab",
    "combining": "e\u0301",
}

LOOKALIKES = {
    "case": ("order", "Order"),
    "trailing space": ("order", "order "),
    "leading space": ("order", " order"),
    "accent": ("resume", "résumé"),
    "composed and decomposed": ("\u00e9", "e\u0301"),
    "sharp s": ("strasse", "straße"),
    "wildcard": ("order_1", "order-1"),
}


class TriggerCases(Conformance):
    # --- foreign ids ----------------------------------------------------------------------------

    async def test_one_of_many_concurrent_triggers_gets_the_foreign_id(
        self, store: RecordStore
    ) -> None:
        runs = [new_run("order-42") for _ in range(CALLERS)]
        answers = await asyncio.gather(*(store_all(store, run) for run in runs))
        check_one_won([answer for (answer,) in answers], others=ActiveRun)
        assert [count.runs for count in await store.counts("orders")] == [1]

    async def test_the_first_of_many_triggers_in_one_call_gets_the_foreign_id(
        self, store: RecordStore
    ) -> None:
        runs = [new_run("order-42") for _ in range(CALLERS)]
        first = runs[0].run_id
        answers = results(await store.store([group(*runs[:20]), group(*runs[20:])]))
        assert answers == [
            Stored(first, Version(1)),
            *(ActiveRun(run.run_id, first) for run in runs[1:]),
        ]

    @pytest.mark.parametrize("end", [RunState.COMPLETED, RunState.CANCELLED])
    async def test_a_finished_run_frees_its_foreign_id(
        self, store: RecordStore, end: RunState
    ) -> None:
        first, second = new_run("order-42"), new_run("order-42")
        await store_all(store, first)
        await store_all(store, step(first, run_state=end))
        assert await store_all(store, second) == [Stored(second.run_id, Version(1))]
        assert await store_all(store, new_run("order-42", run_id=first.run_id)) == [
            Conflict(first.run_id, Version(2))
        ]

    async def test_a_run_that_finishes_frees_its_foreign_id_in_the_same_call(
        self, store: RecordStore
    ) -> None:
        first, second = new_run("order-42"), new_run("order-42")
        end = step(first, run_state=RunState.COMPLETED)
        answers = await store_all(store, first, end, second)
        assert answers == [
            Stored(first.run_id, Version(1)),
            Stored(first.run_id, Version(2)),
            Stored(second.run_id, Version(1)),
        ]

    @pytest.mark.parametrize("state", [RunState.RUNNING, RunState.PAUSED])
    async def test_an_unfinished_run_keeps_its_foreign_id(
        self, store: RecordStore, state: RunState
    ) -> None:
        first, second = new_run("order-42"), new_run("order-42")
        await store_all(store, first, step(first, run_state=state))
        assert await store_all(store, second) == [ActiveRun(second.run_id, first.run_id)]

    async def test_a_write_of_a_finished_run_does_not_take_its_foreign_id_back(
        self, store: RecordStore
    ) -> None:
        first, second, third = new_run("order-42"), new_run("order-42"), new_run("order-42")
        end = step(first, run_state=RunState.COMPLETED)
        await store_all(
            store, first, end, second, step(end, run_state=RunState.REQUESTED_DATA_DELETED)
        )
        assert await store_all(store, third) == [ActiveRun(third.run_id, second.run_id)]

    async def test_each_workflow_has_foreign_ids_of_its_own(self, store: RecordStore) -> None:
        order, invoice = new_run("42", workflow="orders"), new_run("42", workflow="invoices")
        assert await store_all(store, order, invoice) == [
            Stored(order.run_id, Version(1)),
            Stored(invoice.run_id, Version(1)),
        ]

    @pytest.mark.parametrize("foreign_id", FOREIGN_IDS.values(), ids=FOREIGN_IDS.keys())
    async def test_a_foreign_id_and_a_key_are_stored_as_they_were_given(
        self, store: RecordStore, foreign_id: str
    ) -> None:
        run = new_run(foreign_id, key=foreign_id)
        await store_all(store, run)
        record = await stored(store, run.run_id)
        assert (record.foreign_id, record.idempotency_key) == (foreign_id, foreign_id)
        assert await store.latest("orders", [foreign_id]) == [record]

    @pytest.mark.parametrize("pair", LOOKALIKES.values(), ids=LOOKALIKES.keys())
    async def test_foreign_ids_and_keys_are_compared_byte_for_byte(
        self, store: RecordStore, pair: tuple[str, str]
    ) -> None:
        runs = [new_run(text, key=text) for text in pair]
        for run in runs:  # in separate calls, so that the second finds the first one stored
            assert await store_all(store, run) == [Stored(run.run_id, Version(1))]
        found = await store.latest("orders", pair)
        assert [record and record.run_id for record in found] == [run.run_id for run in runs]

    # --- idempotency keys -----------------------------------------------------------------------

    async def test_one_of_many_concurrent_triggers_gets_the_key(self, store: RecordStore) -> None:
        runs = [new_run(key="k") for _ in range(CALLERS)]
        answers = await asyncio.gather(*(store_all(store, run) for run in runs))
        check_one_won([answer for (answer,) in answers], others=KeyUsed)

    async def test_the_first_of_many_triggers_in_one_call_gets_the_key(
        self, store: RecordStore
    ) -> None:
        runs = [new_run(key="k") for _ in range(CALLERS)]
        first = runs[0].run_id
        assert await store_all(store, *runs) == [
            Stored(first, Version(1)),
            *(KeyUsed(run.run_id, first) for run in runs[1:]),
        ]

    async def test_a_key_outlives_its_run(self, store: RecordStore) -> None:
        first, second = new_run("order-42", key="k"), new_run("order-42", key="k")
        await store_all(store, first, step(first, run_state=RunState.COMPLETED))
        assert await store_all(store, second) == [KeyUsed(second.run_id, first.run_id)]
        assert await store.lookup([second.run_id], fresh=True) == [None]

    async def test_a_used_key_is_reported_rather_than_an_active_run(
        self, store: RecordStore
    ) -> None:
        used, active = new_run("order-1", key="k"), new_run("order-2")
        await store_all(store, used, active)
        late = new_run("order-2", key="k")
        assert await store_all(store, late) == [KeyUsed(late.run_id, used.run_id)]

    async def test_a_used_key_is_answered_with_the_digest_that_its_first_run_stored(
        self, store: RecordStore
    ) -> None:
        first, second = new_run(key="k", digest=DIGEST), new_run(key="k", digest=OTHER_DIGEST)
        await store_all(store, first)
        assert await store_all(store, second) == [KeyUsed(second.run_id, first.run_id, DIGEST)]
        await store_all(store, step(first, run_state=RunState.COMPLETED))
        assert await store_all(store, second) == [KeyUsed(second.run_id, first.run_id, DIGEST)]

    async def test_a_key_used_twice_in_one_call_is_answered_with_its_digest(
        self, store: RecordStore
    ) -> None:
        first, *others = [new_run(key="k", digest=DIGEST) for _ in range(3)]
        answers = results(await store.store([group(first, others[0]), group(others[1])]))
        assert answers == [
            Stored(first.run_id, Version(1)),
            *(KeyUsed(run.run_id, first.run_id, DIGEST) for run in others),
        ]

    async def test_a_key_that_was_stored_without_a_digest_is_answered_without_one(
        self, store: RecordStore
    ) -> None:
        first, second = new_run(key="k"), new_run(key="k", digest=DIGEST)
        await store_all(store, first)
        assert await store_all(store, second) == [KeyUsed(second.run_id, first.run_id)]
        assert await store_all(store, second) == [KeyUsed(second.run_id, first.run_id)]

    async def test_keys_used_in_one_call_are_answered_with_the_digest_of_each(
        self, store: RecordStore
    ) -> None:
        digests = {"a": DIGEST, "b": None, "c": OTHER_DIGEST}
        used = [new_run(key=key, digest=digest) for key, digest in digests.items()]
        await store_all(store, *used)
        again = [new_run(key=key, digest=DIGEST) for key in digests]
        assert await store_all(store, *again) == [
            KeyUsed(run.run_id, first.run_id, digest)
            for run, first, digest in zip(again, used, digests.values(), strict=True)
        ]

    @pytest.mark.parametrize("digest", [b"", b"x" * 15, b"x" * 17])
    async def test_a_digest_of_another_length_is_refused(
        self, store: RecordStore, digest: bytes
    ) -> None:
        run = new_run(key="k", digest=digest)
        with pytest.raises(WriteRejected, match="digest"):
            await store_all(store, run)
        assert await store.lookup([run.run_id], fresh=True) == [None]

    async def test_a_trigger_whose_foreign_id_is_taken_uses_up_no_key(
        self, store: RecordStore
    ) -> None:
        await store_all(store, new_run("order-1"), new_run("order-1", key="k"))
        run = new_run("order-2", key="k")
        assert await store_all(store, run) == [Stored(run.run_id, Version(1))]

    async def test_each_workflow_has_keys_of_its_own(self, store: RecordStore) -> None:
        runs = [new_run(key="k", workflow="orders"), new_run(key="k", workflow="invoices")]
        assert await store_all(store, *runs) == [Stored(run.run_id, Version(1)) for run in runs]

    # --- repeats --------------------------------------------------------------------------------

    async def test_a_repeated_trigger_gets_the_first_answer_after_the_run_has_finished(
        self, store: RecordStore
    ) -> None:
        first, second = new_run("order-42", key="k"), new_run("order-42")
        await store_all(store, first, step(first, run_state=RunState.COMPLETED), second)
        assert await store_all(store, first) == [Stored(first.run_id, Version(1))]
        assert await versions(store, first.run_id) == [1, 2]

    async def test_repeats_get_the_first_answers_after_the_run_has_finished_and_its_data_is_deleted(
        self, store: RecordStore
    ) -> None:
        run = new_run("order-42", key="k", data=b'{"card":"4242"}')
        over = step(run, run_state=RunState.COMPLETED)
        asked = step(over, run_state=RunState.REQUESTED_DATA_DELETED)
        writes = [run, over, asked, step(asked, run_state=RunState.DATA_DELETED, data=b"")]
        for write in writes:
            await store_all(store, write)
        assert (await stored(store, run.run_id)).data == b""
        for write in writes:
            assert await store_all(store, write) == [Stored(run.run_id, write.version)]
        late = new_run("order-42", key="k")
        assert await store_all(store, late) == [KeyUsed(late.run_id, run.run_id)]
        assert await versions(store, run.run_id) == [1, 2, 3, 4]

    async def test_another_trigger_with_a_run_id_in_use_conflicts(self, store: RecordStore) -> None:
        record = await stored_run(store)
        assert await store_all(store, new_run(run_id=record.run_id)) == [
            Conflict(record.run_id, Version(1))
        ]
        assert await stored(store, record.run_id) == record
