"""Ports: the points at which links meet the side of a node."""

import random
from itertools import pairwise

import pytest

from workflow_ray.diagram.layout.ports import APART, CORNER, spread


def test_one_link_meets_the_side_where_it_comes_from() -> None:
    assert spread([(40.0, 1.0)], 0, 100) == [40.0]
    assert spread([(400.0, 1.0)], 0, 100) == [100 - CORNER]


def test_links_are_apart() -> None:
    assert spread([(50.0, 1.0), (50.0, 1.0)], 0, 100) == [50 - APART / 2, 50 + APART / 2]


def test_a_heavy_link_stays_where_it_is() -> None:
    _, heavy = spread([(49.0, 1.0), (50.0, 1000.0)], 0, 100)
    assert heavy == pytest.approx(50.0, abs=0.1)


def test_links_are_in_order_and_on_the_side(rng: random.Random) -> None:
    wanted = sorted((rng.uniform(-200, 300), rng.choice((1.0, 1000.0))) for _ in range(9))
    points = spread(wanted, 0, 100)
    assert all(0 <= point <= 100 for point in points)
    assert all(one < other for one, other in pairwise(points))


def test_a_side_that_is_too_short_has_all_links_in_its_middle() -> None:
    assert spread([(0.0, 1.0), (9.0, 1.0)], 0, 10) == [5.0, 5.0]
