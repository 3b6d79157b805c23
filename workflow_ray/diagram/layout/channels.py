"""The channels between layers, in which links run sideways, each in a track of its own."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TRACK = 9.0
"""Pixels between two tracks."""
END = 17.0
"""Pixels between a layer and the next track: an arrowhead fits in."""
EMPTY = 22.0
"""The height of a channel without tracks."""
STRAIGHT = 0.01
"""Pixels: a way that is narrower does not turn. It is only so wide because floats are rounded."""
CLEAR = 7.0
"""Pixels that are kept between two ways that share a track."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way through a channel, from the layer above to the layer below."""

    start: float
    end: float

    @property
    def is_straight(self) -> bool:
        return abs(self.start - self.end) < STRAIGHT

    def meets(self, other: "Way") -> bool:
        """Whether the two would touch if they were in the same track."""
        return min(self.start, self.end) - CLEAR < max(other.start, other.end) and min(
            other.start, other.end
        ) - CLEAR < max(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Channel:
    """The tracks of one channel."""

    tracks: dict[Way, int]  # without straight ways

    @property
    def height(self) -> float:
        if not self.tracks:
            return EMPTY
        return 2 * END + TRACK * max(self.tracks.values())

    def depth(self, way: Way) -> float:
        """How far the way's track is below the upper layer."""
        return END + TRACK * self.tracks[way]


def channel_of(ways: Iterable[Way]) -> Channel:
    """Give each way a track, so that ways in the same direction do not cross without need.

    Of two ways to the right, the one that starts further left takes the deeper track: the other
    one goes down into its own before they meet.
    """
    turning = [way for way in dict.fromkeys(ways) if not way.is_straight]
    tracks: dict[Way, int] = {}
    rightward = sorted((way for way in turning if way.end > way.start), key=lambda w: -w.start)
    leftward = sorted((way for way in turning if way.end < way.start), key=lambda w: w.start)
    for group in (rightward, leftward):
        for place, way in enumerate(group):
            tracks[way] = _track(way, tracks, group[:place])
    return Channel(tracks)


def _track(way: Way, tracks: dict[Way, int], same: Sequence[Way]) -> int:
    """Find the first track that is below those of the same direction, and free."""
    track = max((tracks[each] + 1 for each in same if each.meets(way)), default=0)
    taken = {number for each, number in tracks.items() if each.meets(way)}
    while track in taken:
        track += 1
    return track
