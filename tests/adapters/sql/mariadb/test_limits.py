"""What a MariaDB store holds, and what it refuses without harm to others."""

import asyncio

import pytest
from asyncmy.errors import OperationalError

from workflow_ray.errors import (
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    WorkflowError,
    WriteRejected,
)
from workflow_ray.records import MAX_FOREIGN_ID, ActiveRun, Stored, Version
from workflow_ray.testing.conformance.runs import new_run, step, store_all, stored, stored_run
from workflow_ray_adapters.sql.database import Aborted
from workflow_ray_adapters.sql.mariadb.faults import translate_errors

from .conftest import Opener

LARGE = 8 * 1024 * 1024
NAMES = (
    "a",
    "a ",
    "a  ",
    " a",
    "A",
    "ä",
    "a\u0308",
    "Ä",
    "ß",
    "ss",
    "😀",
    "😁",
    "a\t",
    "%",
    "_",
    "'",
    "\\",
    '"',
    "\N{ZERO WIDTH SPACE}a",
)


async def test_foreign_ids_are_told_apart_by_every_character(opened: Opener) -> None:
    async with opened() as store:
        runs = [new_run(name) for name in NAMES]
        assert await store_all(store, *runs) == [Stored(run.run_id, Version(1)) for run in runs]
        assert [record and record.run_id for record in await store.latest("orders", NAMES)] == [
            run.run_id for run in runs
        ]
        again = [new_run(name) for name in NAMES]
        assert await store_all(store, *again) == [
            ActiveRun(new.run_id, old.run_id) for new, old in zip(again, runs, strict=True)
        ]


async def test_a_foreign_id_of_the_longest_has_as_many_characters_of_any_kind(
    opened: Opener,
) -> None:
    async with opened() as store:
        run = new_run("😀" * MAX_FOREIGN_ID, key="😁" * MAX_FOREIGN_ID)
        await store_all(store, run)
        assert (await stored(store, run.run_id)).foreign_id == "😀" * MAX_FOREIGN_ID


async def test_8_mib_of_any_bytes_come_back_as_they_were(opened: Opener) -> None:
    data = bytes(range(256)) * (LARGE // 256)
    async with opened() as store:
        run = new_run(data=data)
        await store_all(store, run)
        await store_all(store, step(run, data=data[::-1]))
        assert (await stored(store, run.run_id)).data == data[::-1]
        assert [entry.data for entry in await store.history(run.run_id)] == [data, data[::-1]]


async def test_what_the_server_takes_no_packet_for_is_rejected_and_others_are_not(
    opened: Opener,
) -> None:
    async with opened() as store:
        huge, small = new_run(data=b'"' * 2 * LARGE), [new_run() for _ in range(3)]
        answers = await asyncio.gather(
            *(store_all(store, run) for run in (small[0], huge, *small[1:])), return_exceptions=True
        )
        assert isinstance(answers[1], WriteRejected)
        assert "max_allowed_packet" in str(answers[1])
        assert [await stored(store, run.run_id) for run in small]
        assert await store.lookup([huge.run_id]) == [None]
        assert (await stored_run(store)).version == 1


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        (1114, "The table 'history' is full", StoreFull),
        (1021, "Disk full (/data); waiting for someone to free some space...", StoreFull),
        (1030, 'Got error 28 "No space left on device" from storage engine InnoDB', StoreFull),
        (1030, 'Got error 5 "Input/output error" from storage engine InnoDB', StoreUnavailable),
        (1290, "The MariaDB server is running with the --read-only option", StoreReadOnly),
        (1213, "Deadlock found when trying to get lock; try restarting transaction", Aborted),
        (1205, "Lock wait timeout exceeded; try restarting transaction", Aborted),
        (1406, "Data too long for column 'reason' at row 1", WriteRejected),
        (2013, "Lost connection to MySQL server during query", StoreUnavailable),
        (1040, "Too many connections", StoreUnavailable),
    ],
)
def test_what_the_server_says_becomes_an_error_of_ours(
    code: int, said: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as raised, translate_errors("mariadb://host:3306/shop"):
        raise OperationalError(code, said)
    assert said in str(raised.value)
    assert isinstance(raised.value, WorkflowError | Aborted)
