"""Assigns nodes to layers, so that links lead down."""

from collections import defaultdict
from collections.abc import Sequence
from graphlib import TopologicalSorter

from workflow_ray.diagram.layout.sizes import Link

SPAN = 2
"""The layers between a node and the next: one is for labels."""
ROUNDS = 10


def upward(count: int, links: Sequence[Link]) -> set[int]:
    """Find links to be turned around, so that no cycle is left.

    Args:
        count: The number of nodes. The search begins at the first ones.
        links: The links.

    Returns:
        The places of links that lead back to where a path from above has been.
    """
    outgoing: dict[int, list[int]] = defaultdict(list)
    for place, link in enumerate(links):
        outgoing[link.source].append(place)
    found: set[int] = set()
    is_open: dict[int, bool] = {}  # nodes that were entered, and whether they are on the path
    for root in range(count):
        if root in is_open:
            continue
        is_open[root] = True
        path = [(root, iter(outgoing[root]))]
        while path:  # without recursion: a graph may be deeper than Python's stack
            node, ahead = path[-1]
            step = next(ahead, None)
            if step is None:
                is_open[node] = False
                path.pop()
                continue
            target = links[step].target
            if target not in is_open:
                is_open[target] = True
                path.append((target, iter(outgoing[target])))
            elif is_open[target]:
                found.add(step)
    return found


def layers_of(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Find the layer of each node.

    Args:
        count: The number of nodes.
        pairs: Upper and lower node of each link. They have no cycle.

    Returns:
        Even numbers from 0. The lower node of a pair is at least SPAN below the upper one.
    """
    above: list[list[int]] = [[] for _ in range(count)]
    below: list[list[int]] = [[] for _ in range(count)]
    for upper, lower in pairs:
        above[lower].append(upper)
        below[upper].append(lower)
    order = list(TopologicalSorter(dict(enumerate(above))).static_order())
    layers = [0] * count
    for node in order:
        layers[node] = max((layers[each] + SPAN for each in above[node]), default=0)
    _shorten(layers, order, above, below)
    lowest = min(layers, default=0)
    return [layer - lowest for layer in layers]


def _shorten(
    layers: list[int],
    order: Sequence[int],
    above: Sequence[list[int]],
    below: Sequence[list[int]],
) -> None:
    """Move nodes within their range towards the side on which they have more links."""
    for _ in range(ROUNDS):
        changed = False
        for node in reversed(order):
            if len(below[node]) > len(above[node]):
                layer = min(layers[each] for each in below[node]) - SPAN
            elif above[node]:
                layer = max(layers[each] for each in above[node]) + SPAN
            else:
                continue
            changed = changed or layer != layers[node]
            layers[node] = layer
        if not changed:
            return
