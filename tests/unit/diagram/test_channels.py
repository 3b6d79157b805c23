"""Channels: ways side by side do not cross without need, and never share a line."""

import random
from itertools import combinations

from workflow_ray.diagram.layout.channels import Way, channel_of


def crossings(ways: list[Way]) -> int:
    channel = channel_of(ways)
    return sum(
        min(one.start, one.end) < x < max(one.start, one.end) and is_there
        for one in ways
        for other in ways
        for x, is_there in (
            (other.start, channel.tracks[other] > channel.tracks[one]),
            (other.end, channel.tracks[other] < channel.tracks[one]),
        )
    )


def test_ways_in_one_direction_that_keep_their_order_do_not_cross() -> None:
    right = [Way(0, 100), Way(20, 150), Way(40, 400)]
    assert crossings(right) == 0
    assert crossings([Way(-way.start, -way.end) for way in right]) == 0


def test_a_straight_way_needs_no_track() -> None:
    assert channel_of([Way(5, 5.001), Way(7, 7)]).tracks == {}


def test_ways_that_meet_have_tracks_of_their_own(rng: random.Random) -> None:
    ways = [Way(rng.uniform(0, 300), rng.uniform(0, 300)) for _ in range(40)]
    channel = channel_of(ways)
    for one, other in combinations(channel.tracks, 2):
        assert not one.meets(other) or channel.depth(one) != channel.depth(other)
    assert all(0 < channel.depth(way) < channel.height for way in channel.tracks)


def test_ways_far_from_each_other_share_a_track() -> None:
    assert set(channel_of([Way(0, 50), Way(100, 150)]).tracks.values()) == {0}
