"""Layouts: nothing overlaps, and every link leads from its source to its target."""

import random
from itertools import combinations, pairwise
from typing import NamedTuple

import pytest

from workflow_ray.diagram.layout import Box, Drawing, Link, Point, lay_out

GRAPHS = range(40)


class Area(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Area") -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def area(box: Box, point: Point) -> Area:
    x, y = point
    return Area(x - box.left, y - box.height / 2, x + box.right, y + box.height / 2)


def line(one: Point, other: Point) -> Area:
    """A line, a little shorter and a little wider than it is: it may touch what it ends at."""
    (x0, x1), (y0, y1) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    return Area(x0 - 0.1, y0 + 0.1, x1 + 0.1, y1 - 0.1)


def random_box(rng: random.Random) -> Box:
    half = rng.uniform(20, 120)
    beside = rng.choice((0.0, rng.uniform(0, 100)))
    return Box(left=half, right=half + beside, height=rng.uniform(20, 90), half=half)


def random_graph(rng: random.Random) -> tuple[list[Box], list[Link]]:
    nodes = [random_box(rng) for _ in range(rng.randint(1, 40))]
    links: list[Link] = []
    for _ in range(rng.randint(0, 2 * len(nodes))):
        source, target = rng.randrange(len(nodes)), rng.randrange(len(nodes))
        if source != target:
            label = Box(left=rng.uniform(10, 90), right=rng.uniform(10, 90), height=20)
            is_main = rng.random() < 0.7
            links.append(Link(source=source, target=target, label=label, is_main=is_main))
    return nodes, links


def areas_of(drawing: Drawing, nodes: list[Box], links: list[Link]) -> tuple[list[Area], ...]:
    cards = [area(box, point) for box, point in zip(nodes, drawing.nodes, strict=True)]
    routes = zip(links, drawing.routes, strict=True)
    return cards, [area(link.label, route.label) for link, route in routes]


@pytest.mark.parametrize("graph", GRAPHS)
def test_no_node_and_no_label_overlaps_another(graph: int, seed: int) -> None:
    nodes, links = random_graph(random.Random(f"{seed} {graph}"))
    drawing = lay_out(nodes, links)
    cards, labels = areas_of(drawing, nodes, links)
    assert [pair for pair in combinations([*cards, *labels], 2) if pair[0].overlaps(pair[1])] == []
    page = Area(-0.1, -0.1, drawing.width + 0.1, drawing.height + 0.1)
    for each in (*cards, *labels):
        assert page.left <= each.left
        assert page.top <= each.top
        assert each.right <= page.right
        assert each.bottom <= page.bottom


@pytest.mark.parametrize("graph", GRAPHS)
def test_every_link_is_drawn_from_its_source_to_its_target(graph: int, seed: int) -> None:
    nodes, links = random_graph(random.Random(f"{seed} {graph}"))
    drawing = lay_out(nodes, links)
    for link, route in zip(links, drawing.routes, strict=True):
        for node, (x, y) in (
            (link.source, route.points[0]),
            (link.target, route.points[-1]),
        ):
            (axis, middle), box = drawing.nodes[node], nodes[node]
            assert abs(abs(y - middle) - box.height / 2) < 0.1, "it ends at the top or the bottom"
            assert axis - box.half <= x <= axis + box.half
        turns = list(pairwise(route.points))
        assert all(one[0] == other[0] or one[1] == other[1] for one, other in turns)
        label_x, label_y = route.label
        assert any(
            abs(one[0] - label_x) < 0.6
            and min(one[1], other[1]) <= label_y <= max(one[1], other[1])
            for one, other in turns
            if one[0] == other[0]
        ), "the label is on the line"


@pytest.mark.parametrize("graph", GRAPHS)
def test_no_link_runs_through_a_node_or_through_the_label_of_another(graph: int, seed: int) -> None:
    nodes, links = random_graph(random.Random(f"{seed} {graph}"))
    drawing = lay_out(nodes, links)
    cards, labels = areas_of(drawing, nodes, links)
    for place, route in enumerate(drawing.routes):
        others = [*cards, *(each for i, each in enumerate(labels) if i != place)]
        for one, other in pairwise(route.points):
            if abs(one[0] - other[0]) + abs(one[1] - other[1]) > 0.5:
                assert not any(line(one, other).overlaps(each) for each in others)


def test_the_same_graph_has_the_same_layout(rng: random.Random) -> None:
    nodes, links = random_graph(rng)
    assert lay_out(nodes, links) == lay_out(nodes, links)


def chain(count: int) -> tuple[list[Box], list[Link]]:
    label = Box(left=10, right=10, height=20)
    links = [Link(source=i, target=i + 1, label=label) for i in range(count - 1)]
    return [Box(left=50, right=50, height=40, half=50)] * count, links


def test_a_chain_is_one_straight_line_down() -> None:
    drawing = lay_out(*chain(5))
    assert len({x for x, _ in drawing.nodes}) == 1
    assert [y for _, y in drawing.nodes] == sorted(y for _, y in drawing.nodes)
    assert all(len(route.points) == 2 for route in drawing.routes)


def test_a_graph_may_be_deeper_than_pythons_stack() -> None:
    assert len(lay_out(*chain(1500)).nodes) == 1500


def test_a_link_back_points_up() -> None:
    nodes, links = chain(3)
    links.append(Link(source=2, target=0, label=links[0].label))
    *_, back = lay_out(nodes, links).routes
    assert back.points[0][1] > back.points[-1][1]


def test_what_is_not_main_gives_way() -> None:
    nodes, links = chain(3)
    label = links[0].label
    failures = [Link(source=i, target=3, label=label, is_main=False) for i in range(2)]
    drawing = lay_out([*nodes, nodes[0]], [*failures, *links])
    assert len({x for x, _ in drawing.nodes[:3]}) == 1


def test_a_single_node_is_a_layout() -> None:
    drawing = lay_out([Box(left=60, right=50, height=40, half=50)], [])
    assert drawing.nodes == ((82.0, 20.0),)
    assert (drawing.width, drawing.height) == (154.0, 40.0)
