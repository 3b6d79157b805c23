"""Lines of text with icons, which cards, labels and the legend are made of."""

from collections.abc import Sequence
from dataclasses import dataclass

from workflow_ray.diagram.lettering import Font
from workflow_ray.diagram.parts import Kind, Mark
from workflow_ray.diagram.svg import icons
from workflow_ray.diagram.svg.elements import element, text

ICON_GAP = 4.0
ITEM_GAP = 12.0


@dataclass(frozen=True, slots=True)
class Item:
    """A text with an icon in front of it, or with none."""

    text: str
    font: Font
    style: str  # a class
    icon: Kind | Mark | None = None

    @property
    def width(self) -> float:
        return self.font.width(self.text) + (icons.SIZE + ICON_GAP if self.icon else 0.0)

    def draw(self, x: float, middle: float) -> str:
        """Draw it. `x` is its left side."""
        if self.icon is None:
            return text(self.text, x + self.width / 2, middle, self.font, self.style, "middle")
        drawn = icons.icon_of(self.icon, x, middle)
        after = x + icons.SIZE + ICON_GAP
        line = text(self.text, after, middle, self.font, self.style, "start")
        if isinstance(self.icon, Kind):
            return element("g", drawn, line, class_=self.icon.name.lower())
        return drawn + line


@dataclass(frozen=True, slots=True)
class Row:
    """Items side by side."""

    items: tuple[Item, ...]
    above: float = 0.0  # pixels between this row and the previous one

    @property
    def width(self) -> float:
        return sum(item.width for item in self.items) + ITEM_GAP * (len(self.items) - 1)

    @property
    def height(self) -> float:
        return self.above + max(item.font.line for item in self.items)

    def draw(self, axis: float, top: float) -> list[str]:
        """Draw it around an axis."""
        x, middle = axis - self.width / 2, top + (self.above + self.height) / 2
        drawn: list[str] = []
        for item in self.items:
            drawn.append(item.draw(x, middle))
            x += item.width + ITEM_GAP
        return drawn


def stack(rows: Sequence[Row], axis: float, top: float) -> list[str]:
    """Draw rows below each other."""
    drawn: list[str] = []
    for row in rows:
        drawn += row.draw(axis, top)
        top += row.height
    return drawn


def flow(items: Sequence[Item], widest: float, above: float) -> list[Row]:
    """Put items into as few rows as hold them."""
    rows: list[Row] = []
    for item in items:
        if rows and rows[-1].width + ITEM_GAP + item.width <= widest:
            rows[-1] = Row((*rows[-1].items, item), rows[-1].above)
        else:
            rows.append(Row((item,), above if not rows else 2.0))
    return rows
