"""Assigns horizontal coordinates: "Fast and simple horizontal coordinate assignment", Brandes and
Köpf, 2001. Boxes have different widths here.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from itertools import pairwise
from math import ceil

from workflow_ray.diagram.layout.chains import Chains
from workflow_ray.diagram.layout.ordering import Order
from workflow_ray.diagram.layout.sizes import Box

Coordinates = dict[int, float]


def columns_of(chains: Chains, order: Order) -> Coordinates:
    """Find the coordinate of each vertex's axis. It is the middle of four extreme layouts."""
    layouts = [
        _View(chains, order, is_down=is_down, is_mirrored=is_mirrored).coordinates()
        for is_down in (True, False)
        for is_mirrored in (False, True)
    ]
    boxes = chains.boxes
    bounds = [bounds_of(layout, boxes) for layout in layouts]
    narrowest = min(bounds, key=lambda each: each[1] - each[0])
    shifted: list[Coordinates] = []
    for place, (layout, (low, high)) in enumerate(zip(layouts, bounds, strict=True)):
        is_mirrored = place % 2 == 1
        by = narrowest[1] - high if is_mirrored else narrowest[0] - low
        shifted.append({vertex: x + by for vertex, x in layout.items()})
    middle: Coordinates = {}
    for vertex in range(len(boxes)):
        _, one, other, _ = sorted(layout[vertex] for layout in shifted)
        middle[vertex] = (one + other) / 2
    return middle


def bounds_of(layout: Coordinates, boxes: Sequence[Box]) -> tuple[float, float]:
    """Find the left and the right end of what is laid out."""
    return (
        min(x - boxes[vertex].left for vertex, x in layout.items()),
        max(x + boxes[vertex].right for vertex, x in layout.items()),
    )


@dataclass(slots=True)
class _View:
    """A look at the layers: from the top or the bottom, with the left or the right side first."""

    chains: Chains
    order: Order
    is_down: bool
    is_mirrored: bool

    def coordinates(self) -> Coordinates:
        layers = [layer[::-1] if self.is_mirrored else layer for layer in self.order.layers]
        if not self.is_down:
            layers.reverse()
        place = {vertex: i for layer in layers for i, vertex in enumerate(layer)}
        root = self._aligned(layers, place)
        found = self._compacted(layers, root)
        sign = -1 if self.is_mirrored else 1
        return {vertex: sign * x for vertex, x in found.items()}

    def _neighbours(self, vertex: int) -> list[int]:
        return (self.order.above if self.is_down else self.order.below)[vertex]

    def _is_strong(self, vertex: int, neighbour: int) -> bool:
        pair = (neighbour, vertex) if self.is_down else (vertex, neighbour)
        return pair in self.chains.strong

    def _conflicts(self, layer: Sequence[int], place: dict[int, int]) -> set[tuple[int, int]]:
        """Find the segments to the previous layer that cross a strong one, or end at its end."""
        segments = [(vertex, each) for vertex in layer for each in self._neighbours(vertex)]
        strong = [pair for pair in segments if self._is_strong(*pair)]
        places = [(place[vertex], place[each]) for vertex, each in strong]
        return {
            (vertex, each)
            for vertex, each in set(segments).difference(strong)
            if any(
                there == place[each] or (here < place[vertex]) != (there < place[each])
                for here, there in places
            )
        }

    def _aligned(self, layers: Sequence[Sequence[int]], place: dict[int, int]) -> list[int]:
        """Put vertices into vertical blocks. Returns the first vertex of each one's block."""
        count = len(self.chains.boxes)
        root = list(range(count))
        for layer in layers[1:]:
            conflicts = self._conflicts(layer, place)
            free = 0  # the first place of the previous layer that no alignment has passed
            for vertex in layer:
                for each in self._choices(vertex, place):
                    if (vertex, each) in conflicts or place[each] < free:
                        continue
                    root[vertex] = root[each]
                    free = place[each] + 1
                    break
        return root

    def _choices(self, vertex: int, place: dict[int, int]) -> list[int]:
        """The neighbours with which the vertex may be aligned, the best one first."""
        found = sorted(self._neighbours(vertex), key=place.__getitem__)
        strong = [each for each in found if self._is_strong(vertex, each)]
        if strong or not found:
            return strong
        middle = (len(found) - 1) / 2
        return [found[int(middle)], found[ceil(middle)]]

    def _compacted(self, layers: Sequence[Sequence[int]], root: Sequence[int]) -> Coordinates:
        """Place the blocks as far to the left as they go, then close gaps from the left."""
        after: dict[int, dict[int, float]] = defaultdict(dict)
        before: dict[int, dict[int, float]] = defaultdict(dict)
        for layer in layers:
            for one, other in pairwise(layer):
                left, right = root[one], root[other]
                distance = max(self._distance(one, other), after[left].get(right, 0.0))
                after[left][right] = before[right][left] = distance
        sorter = TopologicalSorter({block: before[block] for block in sorted(set(root))})
        blocks = list(sorter.static_order())
        x: Coordinates = {}
        for block in blocks:
            x[block] = max((x[each] + far for each, far in before[block].items()), default=0.0)
        for block in reversed(blocks):
            if after[block]:
                x[block] = max(x[block], min(x[each] - far for each, far in after[block].items()))
        return {vertex: x[block] for vertex, block in enumerate(root)}

    def _distance(self, one: int, other: int) -> float:
        left, right = self.chains.boxes[one], self.chains.boxes[other]
        return left.left + right.right if self.is_mirrored else left.right + right.left
