"""The points at which links meet a node."""

from collections.abc import Sequence

APART = 16.0
"""Pixels between two links that meet the same side of a node, where there is room."""
CORNER = 14.0
"""Pixels at the ends of a side that no link meets."""


def spread(wanted: Sequence[tuple[float, float]], low: float, high: float) -> list[float]:
    """Find points on a side that are apart, each as near to where it is wanted as possible.

    Args:
        wanted: Where the links come from, from left to right, and how much that weighs.
        low: The left end of the side.
        high: Its right end.
    """
    low, high = low + CORNER, high - CORNER
    if high < low:
        low = high = (low + high) / 2
    apart = min(APART, (high - low) / max(len(wanted) - 1, 1))
    # without the distances the points only have to be in order
    levelled = _in_order(
        [
            (min(max(x, low), high) - place * apart, weight)
            for place, (x, weight) in enumerate(wanted)
        ]
    )
    last = high - (len(wanted) - 1) * apart
    return [min(max(x, low), last) + place * apart for place, x in enumerate(levelled)]


def _in_order(values: Sequence[tuple[float, float]]) -> list[float]:
    """Find the ascending numbers with the least squares of differences (isotonic regression)."""
    pools: list[tuple[float, float, int]] = []  # mean, weight and number
    for value, heavy in values:
        mean, weight, number = value, heavy, 1
        while pools and pools[-1][0] > mean:
            other, others, more = pools.pop()
            mean = (mean * weight + other * others) / (weight + others)
            weight += others
            number += more
        pools.append((mean, weight, number))
    return [mean for mean, _, number in pools for _ in range(number)]
