"""Cases of the labels of runs, and of RecordStore.runs by labels."""

import pytest
from msgspec.structs import replace

from workflow_ray.errors import WriteRejected
from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    MAX_FOREIGN_ID,
    MAX_LABEL_NAME,
    MAX_LABELS,
    Conflict,
    Record,
    RunId,
    RunQuery,
    Stored,
    Version,
    Write,
)
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.kin import child, children_of, parent_of
from workflow_ray.testing.conformance.posts import CALLERS, store_at_once
from workflow_ray.testing.conformance.runs import (
    new_run,
    next_page,
    step,
    store_all,
    stored,
    stored_run,
)
from workflow_ray.testing.conformance.triggers import LOOKALIKES

EU = {"region": "eu"}
US = {"region": "us"}
UNUSABLE = {
    "too many": {f"label-{at}": "" for at in range(MAX_LABELS + 1)},
    "a long name": {"n" * (MAX_LABEL_NAME + 1): "eu"},
    "an empty name": {"": "eu"},
    "a long value": {"region": "v" * (MAX_FOREIGN_ID + 1)},
    "a NUL": {"region": "e\0u"},
    "half a surrogate pair": {"region": "\ud800"},
}


class LabelCases(Conformance):
    # --- what is stored -------------------------------------------------------------------------

    async def test_a_run_has_the_labels_that_it_was_created_with(self, store: RecordStore) -> None:
        labels = {"region": "eu", "tenant": "Zoë 😀", "empty": ""}
        run, plain = new_run(labels=labels), new_run()
        await store_all(store, run, plain)
        assert (await stored(store, run.run_id)).labels == labels
        assert (await stored(store, plain.run_id)).labels == {}
        (record,) = await store.runs(RunQuery(workflow="orders", labels={"tenant": "Zoë 😀"}))
        assert record == await stored(store, run.run_id)

    async def test_a_write_without_labels_leaves_them(self, store: RecordStore) -> None:
        run = new_run(labels=EU)
        await store_all(store, run)
        await store_all(store, step(run, data=b"1"))
        await store_all(store, step(step(run)))
        assert (await stored(store, run.run_id)).labels == EU
        assert await labelled(store, EU) == [run.run_id]

    async def test_the_labels_of_a_write_replace_all_labels_of_the_run(
        self, store: RecordStore
    ) -> None:
        run, other = new_run(labels=EU | {"tier": "gold"}), new_run(labels=EU)
        await store_all(store, run, other)
        moved = replace(step(run), labels=US)
        await store_all(store, moved)
        assert (await stored(store, run.run_id)).labels == US
        assert await labelled(store, US) == [run.run_id]
        assert await labelled(store, EU) == [other.run_id]
        assert await labelled(store, {"tier": "gold"}) == []
        await store_all(store, replace(step(moved), labels={}))
        assert (await stored(store, run.run_id)).labels == {}
        assert await labelled(store, US) == []

    async def test_of_several_writes_in_one_call_the_last_labels_stay(
        self, store: RecordStore
    ) -> None:
        run = new_run(labels=EU)
        relabelled = replace(step(run), labels=US)
        await store_all(store, run, relabelled, step(relabelled, data=b"2"))
        record = await stored(store, run.run_id)
        assert (record.labels, record.version, record.data) == (US, 3, b"2")
        assert (await labelled(store, US), await labelled(store, EU)) == ([run.run_id], [])
        again = replace(step(record), labels=EU)
        await store_all(store, again, step(again))
        assert (await labelled(store, US), await labelled(store, EU)) == ([], [run.run_id])

    async def test_a_write_that_is_left_out_changes_no_labels(self, store: RecordStore) -> None:
        run = new_run(labels=EU)
        await store_all(store, run, step(run))
        late = replace(step(run), labels=US)
        assert await store_all(store, late) == [Conflict(run.run_id, Version(2))]
        assert (await stored(store, run.run_id)).labels == EU
        assert await labelled(store, US) == []

    async def test_a_write_that_is_repeated_changes_no_labels(self, store: RecordStore) -> None:
        run = new_run(labels=EU)
        moved = replace(step(run), labels=US)
        await store_all(store, run, moved)
        assert await store_all(store, run) == [Stored(run.run_id, Version(1))]
        assert await labelled(store, EU) == []

    @pytest.mark.parametrize("labels", UNUSABLE.values(), ids=UNUSABLE.keys())
    async def test_labels_that_not_every_store_can_keep_are_refused_before_anything_is_written(
        self, store: RecordStore, labels: dict[str, str]
    ) -> None:
        run = new_run()
        with pytest.raises(WriteRejected):
            await store_all(store, run, new_run(labels=labels))
        assert await store.lookup([run.run_id], fresh=True) == [None]

    async def test_the_most_and_the_longest_labels_are_kept_and_found(
        self, store: RecordStore
    ) -> None:
        labels = {
            f"{at:02}" + "😀" * (MAX_LABEL_NAME - 2): "🦄" * MAX_FOREIGN_ID
            for at in range(MAX_LABELS)
        }
        run = new_run("o" * MAX_FOREIGN_ID, workflow="w" * 200, labels=labels)
        await store_all(store, run)
        assert (await stored(store, run.run_id)).labels == labels
        assert await labelled(store, labels, workflow="w" * 200) == [run.run_id]

    async def test_a_child_has_labels_of_its_own(self, store: RecordStore) -> None:
        started = child()
        started = replace(started, write=replace(started.write, labels=EU))
        parent = await parent_of(store, started)
        run_id = started.write.run_id
        assert (await stored(store, run_id)).labels == EU
        assert (await stored(store, parent.run_id)).labels == {}
        assert await labelled(store, EU, workflow="invoices") == [run_id]
        assert await children_of(store, parent, labels=EU) == [run_id]
        assert await children_of(store, parent, labels=US) == []

    # --- what is found --------------------------------------------------------------------------

    async def test_runs_with_all_of_the_labels_are_found(self, store: RecordStore) -> None:
        both = new_run(labels=EU | {"tier": "gold"})
        one, other = new_run(labels=EU), new_run(labels={"tier": "gold"})
        crossed = new_run(labels={"region": "gold", "tier": "eu"})
        elsewhere = new_run(workflow="invoices", labels=EU | {"tier": "gold"})
        await store_all(store, both, one, other, crossed, elsewhere, new_run())
        assert await labelled(store, EU | {"tier": "gold"}) == [both.run_id]
        assert await labelled(store, EU) == sorted([both.run_id, one.run_id])
        assert await labelled(store, {"tier": "eu"}) == [crossed.run_id]
        assert await labelled(store, {"region": "EU"}) == []
        assert await labelled(store, {"Region": "eu"}) == []

    @pytest.mark.parametrize("pair", LOOKALIKES.values(), ids=LOOKALIKES.keys())
    async def test_names_and_values_are_compared_byte_for_byte(
        self, store: RecordStore, pair: tuple[str, str]
    ) -> None:
        one, other = pair
        runs = [
            new_run(labels={one: one, other: other}),
            new_run(labels={other: one}),
            new_run(labels={one: other}),
        ]
        await store_all(store, *runs)
        assert await labelled(store, {one: one}) == [runs[0].run_id]
        assert await labelled(store, {other: one}) == [runs[1].run_id]
        assert await labelled(store, {one: other}) == [runs[2].run_id]

    @pytest.mark.parametrize("newest_first", [False, True])
    async def test_pages_by_labels_neither_repeat_nor_skip_runs(
        self, store: RecordStore, newest_first: bool
    ) -> None:
        runs = [new_run(labels=EU | {"tier": "gold" if at % 5 else "free"}) for at in range(40)]
        await store_all(store, *runs)
        await store_all(store, *(replace(step(run), labels=US) for run in runs[::8]))
        expected = sorted(
            (run.run_id for at, run in enumerate(runs) if at % 8 and at % 5), reverse=newest_first
        )
        query = RunQuery(
            workflow="orders", labels=EU | {"tier": "gold"}, newest_first=newest_first, limit=7
        )
        seen: list[RunId] = []
        while page := await next_page(store, query, seen):
            assert len(page) <= 7
            seen += [record.run_id for record in page]
            await store_all(store, new_run(labels=US))
        assert seen == expected

    async def test_the_labels_of_one_of_many_writers_are_those_that_find_the_run(
        self, store: RecordStore
    ) -> None:
        run = new_run(labels=EU)
        await store_all(store, run)
        writes = [replace(step(run), labels={"writer": f"{at}"}) for at in range(CALLERS)]
        answers = await store_at_once(store, writes)
        (winner,) = [at for at, answer in enumerate(answers) if isinstance(answer, Stored)]
        assert (await stored(store, run.run_id)).labels == {"writer": f"{winner}"}
        found = [await labelled(store, {"writer": f"{at}"}) for at in range(CALLERS)]
        assert found == [[run.run_id] if at == winner else [] for at in range(CALLERS)]

    async def test_many_callers_label_runs_of_their_own_at_once(self, store: RecordStore) -> None:
        runs = [new_run(labels=EU) for _ in range(CALLERS)]
        await store_at_once(store, runs)
        await store_at_once(store, [replace(step(run), labels=US) for run in runs[::2]])
        assert await labelled(store, US) == ids(runs[::2])
        assert await labelled(store, EU) == ids(runs[1::2])

    async def test_a_write_without_labels_keeps_them_beside_one_of_another_run(
        self, store: RecordStore
    ) -> None:
        run, record = new_run(labels=EU), await stored_run(store)
        await store_all(store, run)
        await store_all(store, step(run), replace(step(record), labels=US))
        assert await labelled(store, EU) == [run.run_id]
        assert await labelled(store, US) == [record.run_id]


async def labelled(
    store: RecordStore, labels: dict[str, str], *, workflow: str = "orders"
) -> list[RunId]:
    """Return the runs that are found by the labels, and check that they have them."""
    records = await store.runs(RunQuery(workflow=workflow, labels=labels))
    for record in records:
        assert labels.items() <= record.labels.items()
    return [record.run_id for record in records]


def ids(runs: list[Write] | list[Record]) -> list[RunId]:
    return sorted(run.run_id for run in runs)
