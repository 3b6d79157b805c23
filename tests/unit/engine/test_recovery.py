"""What a new holder takes to be in doubt in a partition."""

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


def test_a_partition_that_nobody_released_is_in_doubt_up_to_what_was_begun() -> None:
    assert start(row(), MINE, "here") == Start(10, 2, InDoubt(EARLIER, 20, frozenset()))


def test_what_was_tried_together_is_suspect_unless_it_is_finished() -> None:
    found = start(row(trying=(8, 12, 14)), MINE, "here")
    assert found.in_doubt is not None
    assert found.in_doubt.suspects == {12, 14}


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(row(in_use=None), id="it was released"),
        pytest.param(row(in_use=MINE), id="its role raised and starts again in the same process"),
        pytest.param(row(begun=10), id="nothing was begun that isn't finished"),
    ],
)
def test_nothing_is_in_doubt_where(stored: Position) -> None:
    assert start(stored, MINE, "here") == Start(10, 2)


def test_a_partition_without_a_row_begins_at_offset_0() -> None:
    assert start(None, MINE, "here") == Start(0)


def test_a_position_from_before_logs_were_named_counts_in_the_one_that_is_read() -> None:
    assert start(Position("parcels-1-consumer", 3, 10), MINE, "here") == Start(10)


def test_a_position_of_another_log_means_nothing_in_this_one() -> None:
    assert start(row(trying=(12,)), MINE, "there") == Start(0)
