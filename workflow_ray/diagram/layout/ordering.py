"""Orders the vertices of each layer so that few links cross."""

from bisect import bisect_right, insort
from collections.abc import Sequence

from workflow_ray.diagram.layout.chains import Chains

SWEEPS = 12
SWAPPED_UP_TO = 400
"""Segments of a graph whose neighbours are also swapped one by one, which takes longer."""


class Order:
    """The vertices of each layer from left to right.

    Args:
        chains: The vertices and their segments.
    """

    def __init__(self, chains: Chains) -> None:
        count = len(chains.boxes)
        self.above: list[list[int]] = [[] for _ in range(count)]
        self.below: list[list[int]] = [[] for _ in range(count)]
        self._segments = chains.segments()
        for upper, lower in self._segments:
            self.above[lower].append(upper)
            self.below[upper].append(lower)
        self.layers = self._first(chains)
        self.place = [0] * count
        self._number()

    def improve(self) -> None:
        """Lower the number of crossings as far as the sweeps find a way."""
        best, fewest = [list(layer) for layer in self.layers], self.crossings()
        for sweep in range(SWEEPS):
            if not fewest:
                break
            self._sweep(is_down=sweep % 2 == 0)
            if len(self._segments) <= SWAPPED_UP_TO:
                self._swap_neighbours()
            crossings = self.crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best
        self._number()

    def crossings(self) -> int:
        """Count the crossings of segments."""
        return sum(self._crossings_below(layer) for layer in self.layers)

    def _crossings_below(self, layer: Sequence[int]) -> int:
        seen: list[int] = []
        crossings = 0
        for vertex in layer:
            ends = sorted(self.place[each] for each in self.below[vertex])
            crossings += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
        return crossings

    def _first(self, chains: Chains) -> list[list[int]]:
        """Order the layers as a search from the first nodes meets them: the main way is left."""
        order: list[list[int]] = [[] for _ in chains.layers]
        met: set[int] = set()
        for root in (vertex for layer in chains.layers for vertex in layer):
            waiting = [root]
            while waiting:
                vertex = waiting.pop()
                if vertex in met:
                    continue
                met.add(vertex)
                order[chains.layer_of[vertex]].append(vertex)
                waiting += reversed(self.below[vertex])
        return order

    def _number(self) -> None:
        for layer in self.layers:
            for place, vertex in enumerate(layer):
                self.place[vertex] = place

    def _sweep(self, *, is_down: bool) -> None:
        """Order each layer by the mean place of its neighbours in the previous one."""
        neighbours = self.above if is_down else self.below
        for layer in self.layers if is_down else reversed(self.layers):
            means = {vertex: self._mean(vertex, neighbours[vertex]) for vertex in layer}
            layer.sort(key=means.__getitem__)
            for place, vertex in enumerate(layer):
                self.place[vertex] = place

    def _mean(self, vertex: int, neighbours: Sequence[int]) -> float:
        if not neighbours:
            return float(self.place[vertex])
        return sum(self.place[each] for each in neighbours) / len(neighbours)

    def _swap_neighbours(self) -> None:
        """Swap vertices that are side by side wherever that removes crossings."""
        for layer in self.layers:
            improved = True
            while improved:
                improved = False
                for place in range(len(layer) - 1):
                    left, right = layer[place], layer[place + 1]
                    if self._between(left, right) > self._between(right, left):
                        layer[place], layer[place + 1] = right, left
                        self.place[left], self.place[right] = place + 1, place
                        improved = True

    def _between(self, left: int, right: int) -> int:
        """Count the crossings of two vertices' segments if they are in this order."""
        return sum(
            self.place[one] > self.place[other]
            for neighbours in (self.above, self.below)
            for one in neighbours[left]
            for other in neighbours[right]
        )
