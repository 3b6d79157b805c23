"""Pills: the labels of transitions."""

from dataclasses import dataclass, field

from workflow_ray.diagram.layout import Box
from workflow_ray.diagram.lettering import Font
from workflow_ray.diagram.parts import Kind, Label
from workflow_ray.diagram.svg.elements import element
from workflow_ray.diagram.svg.rows import Item, Row, stack

NAME = Font(12)
DETAIL = Font(11)
WIDEST = 170.0
PADDING = 9.0
BETWEEN = 4.0


@dataclass(slots=True)
class Pills:
    """Labels below each other. Without labels they are false, and take no room."""

    labels: tuple[Label, ...]
    _rows: list[list[Row]] = field(init=False)
    width: float = field(init=False)
    height: float = field(init=False)

    def __post_init__(self) -> None:
        self._rows = [_rows(label) for label in self.labels]
        widths = [row.width for rows in self._rows for row in rows]
        self.width = max(widths) + 2 * PADDING if widths else 0.0
        self.height = sum(map(_height, self._rows)) + BETWEEN * max(len(self._rows) - 1, 0)

    def __bool__(self) -> bool:
        return bool(self.labels)

    @property
    def box(self) -> Box:
        """Its size."""
        return Box(left=self.width / 2, right=self.width / 2, height=self.height)

    def draw(self, axis: float, middle: float) -> str:
        """Draw them around a point."""
        top = middle - self.height / 2
        drawn: list[str] = []
        for label, rows in zip(self.labels, self._rows, strict=True):
            drawn.append(_draw(label.kind, rows, self.width, axis, top))
            top += _height(rows) + BETWEEN
        return "".join(drawn)


def _rows(label: Label) -> list[Row]:
    first, *others = NAME.wrap(label.name, WIDEST, 2)
    rows = [Row((Item(first, NAME, "solid", label.kind),))]
    rows += [Row((Item(line, NAME, "solid"),)) for line in others]
    if label.detail:
        rows += [
            Row((Item(line, DETAIL, "note"),)) for line in DETAIL.wrap(label.detail, WIDEST, 2)
        ]
    return rows


def _height(rows: list[Row]) -> float:
    return sum(row.height for row in rows) + 7.0


def _draw(kind: Kind, rows: list[Row], width: float, axis: float, top: float) -> str:
    frame = element(
        "rect",
        x=axis - width / 2,
        y=top,
        width=width,
        height=_height(rows),
        rx=min(_height(rows) / 2, 11.0),
        class_="pill line",
        stroke_width=1,
        stroke_opacity=0.45,
    )
    return element("g", frame, *stack(rows, axis, top + 3.5), class_=kind.name.lower())
