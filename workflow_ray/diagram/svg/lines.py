"""Lines with arrowheads: transitions from one status to another."""

from workflow_ray.diagram.layout import Point, Route
from workflow_ray.diagram.parts import Kind
from workflow_ray.diagram.svg.elements import element, number

HEAD = 9.0
"""The length of an arrowhead."""
DASHES = {Kind.TIMEOUT: "2 4", Kind.FAILURE: "6 4"}
RADIUS = 9.0
"""Of the corners."""


def draw(route: Route, kind: Kind) -> str:
    """Draw a transition. A line in the colour of the page around it makes crossings clear."""
    path = _path(route)
    x, y = route.points[-1]
    return element(
        "g",
        element("path", d=path, class_="halo", fill="none", stroke_width=5),
        element(
            "path",
            d=path,
            class_="line",
            fill="none",
            stroke_width=1.5,
            stroke_linecap="round",
            stroke_dasharray=DASHES.get(kind),
        ),
        head(x, y, _back(route)),
        class_=kind.name.lower(),
    )


def head(x: float, y: float, back: float) -> str:
    """Draw an arrowhead whose tip is at a point, and whose base is `back` below it."""
    return element("path", d=f"M{number(x)} {number(y)} l-4.5 {number(back)} h9 z", class_="solid")


def _path(route: Route) -> str:
    """Join the points by lines with round corners."""
    (x, y), *_ = route.points
    parts = [f"M{number(x)} {number(y)}"]
    points = [*route.points[:-1], _shortened(route)]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(RADIUS, _far(before, corner) / 2, _far(corner, after) / 2)
        (x0, y0), (x1, y1) = _towards(corner, before, radius), _towards(corner, after, radius)
        parts.append(f"L{number(x0)} {number(y0)}")
        parts.append(f"Q{number(corner[0])} {number(corner[1])} {number(x1)} {number(y1)}")
    x, y = points[-1]
    return " ".join([*parts, f"L{number(x)} {number(y)}"])


def _far(one: Point, other: Point) -> float:
    """The length of a vertical or horizontal line."""
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _towards(corner: Point, point: Point, by: float) -> Point:
    far = _far(corner, point)
    part = by / far if far else 0.0
    return corner[0] + (point[0] - corner[0]) * part, corner[1] + (point[1] - corner[1]) * part


def _back(route: Route) -> float:
    """How far the base of the arrowhead is below its tip."""
    return -HEAD if route.points[-1][1] >= route.points[0][1] else HEAD


def _shortened(route: Route) -> Point:
    """Where the line ends: inside of the arrowhead, whose tip it would blur."""
    x, y = route.points[-1]
    return x, y + _back(route) / 2
