"""Turns ordered layers into places of nodes and routes of links."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from workflow_ray.diagram.layout.chains import Chains, chains_of
from workflow_ray.diagram.layout.channels import Channel, Way, channel_of
from workflow_ray.diagram.layout.columns import bounds_of, columns_of
from workflow_ray.diagram.layout.ordering import Order
from workflow_ray.diagram.layout.ports import spread
from workflow_ray.diagram.layout.sizes import Box, Link

STRONG = 1000.0
"""The weight of a link that is to be vertical, compared with that of another one."""
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Route:
    """The way of a link: vertical and horizontal lines. It begins and ends with a vertical one."""

    points: tuple[Point, ...]  # from the source to the target
    label: Point  # its axis, and its middle


@dataclass(frozen=True, slots=True)
class Drawing:
    """The places of everything. All coordinates are from 0 up."""

    nodes: tuple[Point, ...]  # their axes, and their middles
    routes: tuple[Route, ...]
    width: float
    height: float


def lay_out(nodes: Sequence[Box], links: Sequence[Link]) -> Drawing:
    """Lay out a graph. Its first nodes are at the top, as far as the links let them.

    Args:
        nodes: Their sizes. There is at least one.
        links: They name nodes by their places.
    """
    chains = chains_of(nodes, links)
    order = Order(chains)
    order.improve()
    columns = columns_of(chains, order)
    left, right = bounds_of(columns, chains.boxes)
    x = [columns[vertex] - left for vertex in range(len(chains.boxes))]
    return _Plan(nodes, chains, order, x).drawing(right - left)


class _Plan:
    """A layout whose columns are known."""

    def __init__(
        self, nodes: Sequence[Box], chains: Chains, order: Order, x: Sequence[float]
    ) -> None:
        self._nodes = nodes
        self._chains = chains
        self._order = order
        self._x = x
        self._ports = self._find_ports()
        self._channels = self._find_channels()
        self._rows = self._find_rows()

    def drawing(self, width: float) -> Drawing:
        middles = [(top + bottom) / 2 for top, bottom in self._rows]
        layer_of = self._chains.layer_of
        return Drawing(
            nodes=tuple((self._x[i], middles[layer_of[i]]) for i in range(len(self._nodes))),
            routes=tuple(
                Route(
                    self._points(place),
                    (self._x[label], middles[layer_of[label]]),
                )
                for place, label in enumerate(self._chains.labels)
            ),
            width=width,
            height=self._rows[-1][1],
        )

    def _find_ports(self) -> dict[tuple[int, int], float]:
        """Find where each segment meets its node, by the node and the vertex beyond."""
        ports: dict[tuple[int, int], float] = {}
        for node, box in enumerate(self._nodes):
            for neighbours in (self._order.above[node], self._order.below[node]):
                ordered = sorted(neighbours, key=self._order.place.__getitem__)
                at = self._x[node]
                wanted = [(self._x[each], self._weight(node, each)) for each in ordered]
                points = spread(wanted, at - box.half, at + box.half)
                for each, point in zip(ordered, points, strict=True):
                    ports[node, each] = point
        return ports

    def _weight(self, node: int, beyond: int) -> float:
        """How much it weighs that a link meets its node straight."""
        is_strong = not self._chains.strong.isdisjoint(((node, beyond), (beyond, node)))
        return STRONG if is_strong else 1.0

    def _find_channels(self) -> list[Channel]:
        """Find the channel below each layer."""
        ways: list[list[Way]] = [[] for _ in self._chains.layers]
        for upper, lower in self._chains.segments():
            ways[self._chains.layer_of[upper]].append(self._way(upper, lower))
        return [channel_of(each) for each in ways]

    def _find_rows(self) -> list[tuple[float, float]]:
        """Find the top and the bottom of each layer."""
        rows: list[tuple[float, float]] = []
        top = 0.0
        for vertices, channel in zip(self._chains.layers, self._channels, strict=True):
            height = max((self._chains.boxes[each].height for each in vertices), default=0.0)
            rows.append((top, top + height))
            top += height + channel.height
        return rows

    def _way(self, upper: int, lower: int) -> Way:
        return Way(
            self._ports.get((upper, lower), self._x[upper]),
            self._ports.get((lower, upper), self._x[lower]),
        )

    def _points(self, place: int) -> tuple[Point, ...]:
        """The points of a link, from its first to its last node."""
        chain = self._chains.chains[place]
        x = self._way(chain[0], chain[1]).start
        points = [(x, self._edge(chain[0], 1))]
        for upper, lower in pairwise(chain):
            way = self._way(upper, lower)
            if not way.is_straight:
                layer = self._chains.layer_of[upper]
                y = self._rows[layer][1] + self._channels[layer].depth(way)
                points += [(x, y), (way.end, y)]
                x = way.end
        points.append((x, self._edge(chain[-1], -1)))
        return tuple(reversed(points) if place in self._chains.upward else points)

    def _edge(self, node: int, side: int) -> float:
        """The height at which a node's box ends: 1 is its bottom, -1 its top."""
        top, bottom = self._rows[self._chains.layer_of[node]]
        return (top + bottom) / 2 + side * self._nodes[node].height / 2
