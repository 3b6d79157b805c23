"""Rows come back as they were given, however they travel in a statement, on every database."""

import pytest
from msgspec.structs import replace

from workflow_ray.errors import WriteRejected
from workflow_ray.records import Stored, Version, Write
from workflow_ray.testing.conformance.runs import new_run, step, store_all, stored
from workflow_ray_adapters.sql.store import SqlStore

CHARACTERS = [chr(code) for code in range(1, 0x11000) if not 0xD800 <= code < 0xE000]


async def test_an_update_stores_every_character_as_it_was_given(store: SqlStore) -> None:
    run, text = new_run(), "".join(CHARACTERS)
    await store_all(store, run)
    await store_all(store, replace(step(run), reason=text))
    assert (await stored(store, run.run_id)).reason == text


async def test_updates_keep_the_bytes_of_each_run_apart(store: SqlStore) -> None:
    parts = [b"", None, b"\x00", bytes(range(256)), b"[]", None, "ä€😀".encode(), b"%s\\'"]
    runs = [new_run(data=b"before") for _ in parts]
    await store_all(store, *runs)
    changes = [step(run, data=data) for run, data in zip(runs, parts, strict=True)]
    await store_all(store, *changes)
    assert [(await stored(store, run.run_id)).data for run in runs] == [
        b"before" if data is None else data for data in parts
    ]


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 2**63, 2**64, 2**70, -(2**70)])
async def test_an_update_refuses_a_number_that_its_column_does_not_hold(
    store: SqlStore, number: int, request: pytest.FixtureRequest
) -> None:
    if "sqlite" in request.node.name and abs(number) < 2**63:
        number = 2**63  # any of its columns holds 64 bits
    run, other = new_run(), new_run()
    await store_all(store, run, other)
    with pytest.raises(WriteRejected):
        await store_all(store, replace(step(run), attempt=number))
    assert (await stored(store, run.run_id)).version == 1
    assert await store_all(store, step(other)) == [Stored(other.run_id, Version(2))]


@pytest.mark.parametrize("number", [0, 1, 2**31 - 1, -(2**31)])
async def test_an_update_stores_the_numbers_that_its_column_holds(
    store: SqlStore, number: int
) -> None:
    run = new_run()
    await store_all(store, run)
    change: Write = replace(step(run), attempt=number)
    await store_all(store, change)
    assert (await stored(store, run.run_id)).attempt == number
