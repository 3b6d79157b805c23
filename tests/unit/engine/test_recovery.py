"""What is in doubt in a partition when a new holder begins."""

from typing import Any

import msgspec
import pytest

from workflow_ray.engine.recovery import InDoubt, Start, start
from workflow_ray.records import Fence, Position, RoleName

ROLE = RoleName("parcels-1-consumer-1-of-1")
MINE, EARLIER = Fence(ROLE, 7), Fence(ROLE, 6)
ROW = Position("parcels-1-consumer", 3, 10, begun=20, log="here", incarnation=2, in_use=EARLIER)


def row(**changes: Any) -> Position:
    return msgspec.structs.replace(ROW, **changes)


def test_a_partition_that_was_not_released_is_in_doubt_up_to_begun() -> None:
    assert start(row(), MINE, "here") == Start(10, 2, InDoubt(EARLIER, 20, frozenset()))


def test_offsets_that_were_tried_together_are_suspects_unless_finished() -> None:
    found = start(row(trying=(8, 12, 14)), MINE, "here")
    assert found.in_doubt is not None
    assert found.in_doubt.suspects == {12, 14}


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(row(in_use=None), id="a release"),
        pytest.param(row(in_use=MINE), id="a new start of the role in the same process"),
        pytest.param(row(begun=10), id="the end of everything that had begun"),
    ],
)
def test_nothing_is_in_doubt_after(stored: Position) -> None:
    assert start(stored, MINE, "here") == Start(10, 2)


def test_a_partition_without_a_row_begins_at_offset_0() -> None:
    assert start(None, MINE, "here") == Start(0)


def test_a_position_without_a_log_counts_in_the_current_log() -> None:
    assert start(Position("parcels-1-consumer", 3, 10), MINE, "here") == Start(10)


def test_a_position_of_another_log_is_ignored() -> None:
    assert start(row(trying=(12,)), MINE, "there") == Start(0)
