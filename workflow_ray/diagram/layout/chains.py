"""The vertices of a layout: nodes, labels, and the bends of long links."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from workflow_ray.diagram.layout.layering import layers_of, upward
from workflow_ray.diagram.layout.sizes import Box, Link

NODE_MARGIN = 22.0
LABEL_MARGIN = 9.0
BEND_MARGIN = 10.0


@dataclass(slots=True)
class Chains:
    """Links as chains of vertices, from the top down, one vertex in each layer that they cross.

    Vertices are numbers. Those of the nodes come first.
    """

    boxes: list[Box]  # with margins, by vertex
    layers: list[list[int]]  # the vertices of each layer; not yet in order
    layer_of: list[int]
    chains: list[list[int]] = field(default_factory=list[list[int]])  # by link
    labels: list[int] = field(default_factory=list[int])  # the vertex of each link's label
    upward: set[int] = field(default_factory=set[int])  # links whose arrow points up
    strong: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    """Segments, as upper and lower vertex, that are to be vertical."""

    def segments(self) -> list[tuple[int, int]]:
        """All parts of all links, as upper and lower vertex."""
        return [pair for chain in self.chains for pair in pairwise(chain)]

    def add(self, box: Box, layer: int) -> int:
        """Add a vertex."""
        self.boxes.append(box)
        self.layer_of.append(layer)
        self.layers[layer].append(len(self.boxes) - 1)
        return len(self.boxes) - 1


def chains_of(nodes: Sequence[Box], links: Sequence[Link]) -> Chains:
    """Assign layers, and divide the links into segments from layer to layer."""
    turned = upward(len(nodes), links)
    pairs = [
        (link.target, link.source) if place in turned else (link.source, link.target)
        for place, link in enumerate(links)
    ]
    layer_of = layers_of(len(nodes), pairs)
    found = Chains(
        boxes=[_with_margin(box, NODE_MARGIN) for box in nodes],
        layers=[[] for _ in range(max(layer_of, default=0) + 1)],
        layer_of=layer_of,
        upward=turned,
    )
    for node, layer in enumerate(layer_of):
        found.layers[layer].append(node)
    for place, (upper, lower) in enumerate(pairs):
        _add_chain(found, upper, lower, links[place].label, is_turned=place in turned)
    _strengthen(found, links)
    return found


def _add_chain(found: Chains, upper: int, lower: int, label: Box, *, is_turned: bool) -> None:
    """Add the chain of a link. Its label is beside the status that the link leaves."""
    first, last = found.layer_of[upper] + 1, found.layer_of[lower] - 1
    labelled = last if is_turned else first
    bend = Box(left=BEND_MARGIN, right=BEND_MARGIN, height=0.0)
    chain = [upper]
    for layer in range(first, last + 1):
        box = _with_margin(label, LABEL_MARGIN) if layer == labelled else bend
        chain.append(found.add(box, layer))
    found.labels.append(chain[labelled - found.layer_of[upper]])
    chain.append(lower)
    found.chains.append(chain)


def _strengthen(found: Chains, links: Sequence[Link]) -> None:
    """Choose the segments that are to be vertical: the inside of links, and one path of nodes."""
    for chain in found.chains:
        inner = chain[1:-1]
        found.strong |= set(pairwise(inner))
    depths = _depths(found)
    begun: set[int] = set()
    ended: set[int] = set()

    def rank(place: int) -> tuple[bool, int, int, int]:
        upper, lower = found.chains[place][0], found.chains[place][-1]
        return not links[place].is_main, found.layer_of[upper], -depths[lower], place

    downward = [place for place in range(len(links)) if place not in found.upward]
    chains = [found.chains[place] for place in sorted(downward, key=rank)]
    for chain in chains:
        if chain[0] not in begun and chain[-1] not in ended:
            begun.add(chain[0])
            ended.add(chain[-1])
            found.strong |= {(chain[0], chain[1]), (chain[-2], chain[-1])}
    for chain in chains:  # one end of the others
        if chain[0] not in begun:
            begun.add(chain[0])
            found.strong.add((chain[0], chain[1]))
        if chain[-1] not in ended:
            ended.add(chain[-1])
            found.strong.add((chain[-2], chain[-1]))


def _depths(found: Chains) -> dict[int, int]:
    """The number of links on the longest way down from each node."""
    depths: dict[int, int] = dict.fromkeys(range(len(found.layer_of)), 0)
    for chain in sorted(found.chains, key=lambda each: -found.layer_of[each[0]]):
        depths[chain[0]] = max(depths[chain[0]], depths[chain[-1]] + 1)
    return depths


def _with_margin(box: Box, margin: float) -> Box:
    return Box(left=box.left + margin, right=box.right + margin, height=box.height)
