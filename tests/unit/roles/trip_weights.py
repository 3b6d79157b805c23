"""What the history tells of the versions of the data: each was made by the migrations."""

import re
from collections.abc import Iterable

import msgspec

from tests.unit.roles.trip_data import GRAMS
from tests.unit.roles.trip_pasts import Past
from workflow_ray.records import DELETED, Cause, HistoryEntry

HELD_BACK = re.compile(r"its data is of version (\d+), and this code knows version (\d+)")
UNREADABLE = re.compile(r"UnreadableData|NewerData|the migration |can't be read")


class Loads(msgspec.Struct):
    grams: int


class Weighed(msgspec.Struct):
    """The data of a run as it is stored, in any version."""

    noted: list[str]
    kilograms: int | None = None
    grams: int | None = None
    loads: Loads | None = None

    def weights(self) -> dict[int, int]:
        """The weights in grams, by the version that has such a field."""
        found = {
            1: None if self.kilograms is None else self.kilograms * 1000,
            2: self.grams,
            3: None if self.loads is None else self.loads.grams,
        }
        return {version: weight for version, weight in found.items() if weight is not None}


def check_weights(past: Past, newest: int) -> None:
    """Check the data of each version of a run, and what has held the run back.

    Args:
        past: The run.
        newest: The newest version of the data that was deployed.
    """
    version = 1
    for entry in past.entries:
        if entry.data is not None and entry.data != DELETED:
            assert version <= entry.data_version <= newest, f"{entry}, after version {version}"
            version = entry.data_version
            found = msgspec.json.decode(entry.data, type=Weighed)
            expected = {version: GRAMS * len(found.noted)}
            assert found.weights() == expected, f"{entry} was not made by the migrations"
        check_reasons([entry.reason])
        if (held := held_back(entry)) is not None:
            stored, known = held
            assert known < stored == version, f"{entry}, and its data is of version {version}"
            assert entry.data is None, entry
            assert not entry.run_state.at_rest, entry


def held_back(entry: HistoryEntry) -> tuple[int, int] | None:
    """The versions of the data and of the code that held it back. None: nothing did."""
    found = HELD_BACK.search(entry.reason or "")
    if entry.cause is not Cause.PARKED or found is None:
        return None
    return int(found[1]), int(found[2])


def check_reasons(reasons: Iterable[str | None]) -> None:
    """Check that nothing has failed because data could not be read."""
    for reason in reasons:
        assert reason is None or not UNREADABLE.search(reason), reason
