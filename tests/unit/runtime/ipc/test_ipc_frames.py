"""Frames arrive as they were sent, however the stream cuts them."""

import asyncio
import random

import pytest

from tests.unit.runtime.ipc.pipe import End, written
from workflow_ray.runtime.ipc.frames import MAX_BODY, Frame, Kind


async def test_frames_sent_in_one_turn_of_the_loop_leave_in_one_write() -> None:
    assert len(await written(*(Frame(Kind.CALL, n, "lag", b"x") for n in range(100)))) == 1


async def test_frames_arrive_whole_and_in_order_however_the_stream_is_cut(
    rng: random.Random,
) -> None:
    sizes = [0, 1, 100, 65_000, 70_000, 300_000]
    frames = [
        Frame(
            rng.choice(list(Kind)),
            rng.getrandbits(64),
            rng.choice(["", "lag"]),
            rng.randbytes(rng.choice(sizes)),
        )
        for _ in range(60)
    ]
    stream, end = b"".join(await written(*frames)), End()
    while stream:
        cut = rng.choice([1, 13, 14, 200, 66_000, 250_000])
        end.read(stream[:cut])
        stream = stream[cut:]
    assert end.frames == frames
    assert end.reasons == []


async def test_a_large_frame_takes_up_memory_only_while_it_arrives() -> None:
    end = End()
    usual = len(end.wire.get_buffer(-1))
    end.read(b"".join(await written(Frame(Kind.CALL, 1, "store", bytes(1_000_000)))))
    assert len(end.frames[0].body) == 1_000_000
    assert len(end.wire.get_buffer(-1)) == usual


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (
            (MAX_BODY + 1).to_bytes(4, "little") + b"\x01" + bytes(9),
            f"{MAX_BODY + 1} bytes, and at most {MAX_BODY} are allowed",
        ),
        (bytes(4) + b"\x63" + bytes(9), "kind 99"),
    ],
)
async def test_bytes_that_are_not_a_frame_break_the_connection_once_and_say_why(
    header: bytes, reason: str
) -> None:
    end = End()
    end.read(header)
    end.wire.connection_lost(None)
    assert end.pipe.aborted
    assert [reason in given for given in end.reasons] == [True]


async def test_after_a_break_nothing_is_sent() -> None:
    end = End()
    end.wire.send(Frame(Kind.PING))
    end.wire.break_off("enough")
    end.wire.send(Frame(Kind.PING))
    await asyncio.sleep(0)
    assert end.pipe.writes == []
