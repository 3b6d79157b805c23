"""Cards: the boxes of statuses."""

from dataclasses import dataclass, field

from workflow_ray.diagram.layout import Box
from workflow_ray.diagram.lettering import Font
from workflow_ray.diagram.parts import StatusPart
from workflow_ray.diagram.svg.elements import element, group, number
from workflow_ray.diagram.svg.pills import Pills
from workflow_ray.diagram.svg.rows import Item, Row, flow, stack
from workflow_ray.diagram.wording import counted, lines_of

NAME = Font(14, bold=True)
NOTE = Font(11.5)
COUNT = Font(12, bold=True)
WIDEST = 210.0
LEAST = 100.0
PADDING = 16.0
BEGIN = 40.0
"""Pixels that the arrow of the start takes beside the card."""
LOOP = 34.0
"""Pixels that the arc of a loop takes beside the card."""


@dataclass(slots=True)
class Card:
    """A status, with its name, its functions that lead nowhere, its marks and its runs.

    Args:
        status: The status.
        is_bad: Whether it ends runs that failed, and only those.
        loop: The labels of its functions that lead back to it.
    """

    status: StatusPart
    is_bad: bool
    loop: Pills
    rows: list[Row] = field(init=False)
    width: float = field(init=False)
    height: float = field(init=False)

    def __post_init__(self) -> None:
        status = self.status
        self.rows = [Row((Item(line, NAME, "name"),)) for line in NAME.wrap(status.name, WIDEST, 3)]
        if not status.is_known:
            self.rows.append(Row((Item("not in the code", NOTE, "note"),)))
        for label in status.functions:
            (line,) = NOTE.wrap(label.text, WIDEST, 1)
            self.rows.append(Row((Item(line, NOTE, "solid", label.kind),), 3.0))
        marks = [Item(mark.value, NOTE, "note", mark) for mark in status.marks]
        self.rows += flow(marks, WIDEST, 4.0)
        counts = [
            Item(counted(tally, runs), COUNT, f"{tally.name.lower()}-runs")
            for tally, runs in status.counts
        ]
        self.rows += flow(counts, WIDEST, 5.0)
        self.width = max(LEAST, max(row.width for row in self.rows) + 2 * PADDING)
        self.height = sum(row.height for row in self.rows) + 20.0

    @property
    def box(self) -> Box:
        """Its size, with what is beside it."""
        half = self.width / 2
        return Box(
            left=half + (BEGIN if self.status.is_beginning else 0.0),
            right=half + (LOOP + self.loop.width if self.loop else 0.0),
            height=max(self.height, self.loop.height),
            half=half,
        )

    def draw(self, axis: float, middle: float) -> str:
        """Draw it, with the arrow of the start and its loop."""
        status = self.status
        left, top = axis - self.width / 2, middle - self.height / 2
        radius = min(self.height / 2, 22.0) if status.is_terminal else 8.0
        classes = " ".join(
            name
            for name, is_so in (
                ("card", True),
                ("end", status.is_terminal),
                ("bad", self.is_bad),
                ("lost", not status.is_known),
            )
            if is_so
        )
        drawn = [self._frame(left, top, radius, classes)]
        if status.is_terminal:  # a second line around it
            drawn.append(self._frame(left + 3, top + 3, max(radius - 3, 3.0), classes, inset=6.0))
        drawn += stack(self.rows, axis, top + 10.0)
        if status.is_beginning:
            drawn.append(_begin(left, middle, is_start=status.is_start))
        if self.loop:
            drawn.append(self._loop(axis + self.width / 2, middle))
        return group(drawn, title="\n".join([status.name, *lines_of(status)]), class_="status")

    def _frame(
        self, left: float, top: float, radius: float, classes: str, *, inset: float = 0.0
    ) -> str:
        return element(
            "rect",
            x=left,
            y=top,
            width=self.width - inset,
            height=self.height - inset,
            rx=radius,
            class_=classes,
            stroke_width=1.0 if inset else 1.4,
            stroke_dasharray=None if self.status.is_known else "4 3",
        )

    def _loop(self, right: float, middle: float) -> str:
        out, back, far = middle - 9, middle + 9, right + LOOP - 6
        arc = f"M{number(right)} {number(out)} C{number(far)} {number(out - 8)}"
        arc += f" {number(far)} {number(back + 8)} {number(right + 7)} {number(back + 1)}"
        tip = f"M{number(right)} {number(back)} l9 -4 l-1 8.5 z"
        kind = self.loop.labels[0].kind
        drawn = [
            element("path", d=arc, class_="line", fill="none", stroke_width=1.5),
            element("path", d=tip, class_="solid"),
        ]
        loop = element("g", *drawn, class_=kind.name.lower())
        return loop + self.loop.draw(right + LOOP + self.loop.width / 2, middle)


def _begin(left: float, middle: float, *, is_start: bool) -> str:
    """Draw the arrow that says that runs begin here."""
    x = left - BEGIN + 8
    return "".join(
        [
            element("circle", cx=x, cy=middle, r=6, class_="full")
            if is_start
            else element(
                "circle", cx=x, cy=middle, r=5.3, class_="begin", fill="none", stroke_width=1.5
            ),
            element(
                "path",
                d=f"M{number(x + 6)} {number(middle)} H{number(left - 7)}",
                class_="begin",
                stroke_width=1.5,
            ),
            element("path", d=f"M{number(left)} {number(middle)} l-9 -4.5 v9 z", class_="full"),
        ]
    )
