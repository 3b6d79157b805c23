"""A run as it was at an earlier version is read from its history."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.unit.parcels import Route
from workflow_ray.engine.past import as_of, is_enough, read_as_of, read_back, with_oldest_data
from workflow_ray.records import (
    Cause,
    HistoryEntry,
    Record,
    RunId,
    RunState,
    Version,
    WriteId,
)

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def entry(
    version: int, status: Route, cause: Cause, data: bytes | None = None, **fields: RunState
) -> HistoryEntry:
    return HistoryEntry(
        run_id=RunId("r"),
        version=Version(version),
        status=status.value,
        run_state=fields.get("run_state", RunState.RUNNING),
        cause=cause,
        by="role",
        at=BEGIN + timedelta(seconds=version),
        write_id=WriteId(str(version)),
        data=data,
    )


HISTORY = [
    entry(1, Route.NEW, Cause.TRIGGER, b"1"),
    entry(2, Route.NEW, Cause.STAY, b"2"),
    entry(3, Route.PACKED, Cause.CALLBACK),
    entry(4, Route.PACKED, Cause.CALLBACK, b"4"),
    entry(5, Route.PACKED, Cause.FAILED, run_state=RunState.PAUSED),
    entry(6, Route.PACKED, Cause.STEP),
    entry(7, Route.LOST, Cause.FAILED, b"7"),
]
NOW = Record(
    run_id=RunId("r"),
    workflow="routed",
    foreign_id="1",
    status=Route.LOST.value,
    run_state=RunState.COMPLETED,
    version=Version(7),
    visit=Version(7),
    cause=Cause.FAILED,
    partition=0,
    data=b"7",
    created_at=BEGIN,
    updated_at=BEGIN,
)


@pytest.mark.parametrize(
    ("version", "visit", "data"),
    [(1, 1, b"1"), (2, 1, b"2"), (3, 3, b"2"), (4, 3, b"4"), (5, 3, b"4"), (6, 6, b"4")],
)
def test_a_version_has_the_data_and_the_visit_that_it_had(
    version: int, visit: int, data: bytes
) -> None:
    past = as_of(NOW, HISTORY[:version])
    assert (past.version, past.visit, past.data) == (version, visit, data)
    assert (past.status, past.run_state) == (
        HISTORY[version - 1].status,
        HISTORY[version - 1].run_state,
    )
    assert (past.updated_at, past.created_at) == (HISTORY[version - 1].at, BEGIN)


def test_versions_without_data_or_without_an_entry_are_not_enough() -> None:
    assert is_enough(HISTORY[:1])
    assert is_enough(HISTORY[1:3])
    assert not is_enough([])
    assert not is_enough(HISTORY[2:3]), "it has no data"
    assert not is_enough(HISTORY[3:5]), "the visit began before"


class Reads:
    """A long history whose data changes rarely, in pages that are smaller than asked for."""

    def __init__(self, entries: list[HistoryEntry]) -> None:
        self._entries = entries
        self.read = 0

    async def __call__(self, *, after: Version, limit: int) -> list[HistoryEntry]:
        found = [each for each in self._entries if each.version > after][: min(limit, 20)]
        self.read += len(found)
        return found


LONG = [entry(1, Route.NEW, Cause.TRIGGER, b"1")] + [
    entry(number, Route.PACKED, Cause.STEP, b"%d" % number if number % 60 == 0 else None)
    for number in range(2, 1000)
]


@pytest.mark.parametrize(("version", "first"), [(1, 1), (59, 1), (60, 11), (700, 651), (719, 620)])
async def test_only_the_last_versions_are_read(version: int, first: int) -> None:
    reads = Reads(LONG)
    entries = await read_back(reads, Version(version))
    assert [each.version for each in entries] == list(range(first, version + 1))
    assert reads.read == len(entries)
    assert as_of(NOW, entries).data == b"%d" % max(1, version // 60 * 60)


def now(version: int, **changes: Any) -> Record:
    return msgspec.structs.replace(NOW, version=Version(version), data=b"960", **changes)


async def test_a_history_that_has_lost_the_version_or_its_data_does_not_tell_it() -> None:
    assert await read_as_of(now(1001), Reads(LONG), Version(1000)) is None
    assert [each.version for each in await read_back(Reads(LONG[300:]), Version(359))] == list(
        range(301, 360)
    )
    assert await read_as_of(now(999), Reads(LONG[300:]), Version(359)) is None, "360 has other data"
    assert await read_as_of(now(999), Reads([]), Version(1)) is None
    gap = [LONG[969], LONG[998]]
    assert await read_as_of(now(999), Reads(gap), Version(970)) is None


async def test_the_data_of_the_newest_version_that_retention_has_left_is_that_of_the_run() -> None:
    left = Reads(LONG[970:])
    for version in (971, 998):
        past = await read_as_of(now(999), left, Version(version))
        assert past is not None
        assert (past.version, past.data, past.cause) == (version, b"960", Cause.STEP)


def test_the_oldest_entry_that_retention_has_left_has_data() -> None:
    oldest, *others = with_oldest_data(now(999, data_version=3), LONG[970:])
    assert (oldest.version, oldest.data, oldest.data_version) == (971, b"960", 3)
    assert others == LONG[971:]
    for untouched in (LONG, LONG[950:], []):
        assert with_oldest_data(now(999), untouched) is untouched
    erased = now(1000, run_state=RunState.DATA_DELETED)
    assert with_oldest_data(erased, LONG[970:]) == LONG[970:]
