"""The position of a partition."""

import random
import tracemalloc

from workflow_ray.engine.progress import Progress


def test_the_position_is_the_lowest_offset_in_hand() -> None:
    progress = Progress(5)
    for offset in (5, 6, 9):
        progress.begin(offset)
    progress.finish(6)
    assert progress.position == 5
    progress.finish(5)
    assert progress.position == 9


def test_without_offsets_in_hand_the_position_is_the_next_offset() -> None:
    progress = Progress(5)
    assert (progress.position, progress.next, progress.in_hand) == (5, 5, 0)
    progress.begin(8)
    progress.finish(8)
    assert (progress.position, progress.next, progress.in_hand) == (9, 9, 0)


def test_the_position_skips_no_offset_in_any_order_of_finishing(rng: random.Random) -> None:
    for _ in range(200):
        progress, offset, in_hand = Progress(0), 0, set[int]()
        for _ in range(50):
            if in_hand and rng.random() < 0.5:
                finished = rng.choice(sorted(in_hand))
                in_hand.remove(finished)
                progress.finish(finished)
            else:
                offset += rng.choice((1, 1, 1, 7))  # streams may have gaps
                in_hand.add(offset)
                progress.begin(offset)
            assert progress.position == min(in_hand, default=progress.next)
            assert progress.in_hand == len(in_hand)
            assert progress.next == offset + 1 or offset == 0


def test_the_size_grows_with_the_offsets_in_hand_not_with_their_distance() -> None:
    progress = Progress(0)
    progress.begin(0)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for offset in range(1, 100_000):
        progress.begin(offset)
        progress.finish(offset)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (progress.position, progress.in_hand, progress.next) == (0, 1, 100_000)
    assert after - before < 100_000


def test_a_skip_moves_the_position_when_nothing_before_it_is_in_hand() -> None:
    progress = Progress(0)
    progress.begin(0)
    progress.skip(7)
    assert (progress.position, progress.next) == (0, 7)
    progress.finish(0)
    assert progress.position == 7
    progress.skip(3)
    assert progress.position == 7
