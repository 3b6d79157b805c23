"""The legend: what the lines, frames and icons of a picture mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from workflow_ray.diagram.lettering import Font
from workflow_ray.diagram.parts import Kind, Mark, StatusPart, Transition
from workflow_ray.diagram.svg.elements import element, number, text
from workflow_ray.diagram.svg.icons import SIZE, icon_of
from workflow_ray.diagram.svg.lines import DASHES
from workflow_ray.diagram.wording import marks_line

LETTERS = Font(11.5)
SAMPLE = 46.0
GAP = 20.0
ROW = 22.0


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample and its meaning."""

    what: Kind | Mark | str
    meaning: str

    @property
    def sample(self) -> float:
        """The width of the sample."""
        match self.what:
            case Kind():
                return SAMPLE
            case Mark():
                return SIZE
            case _:
                return 26.0

    @property
    def width(self) -> float:
        return self.sample + 6.0 + LETTERS.width(self.meaning)


class Legend:
    """The meanings of what a picture has.

    Args:
        statuses: Of the picture.
        transitions: Of the picture.
        widest: The width that it may take.
    """

    def __init__(
        self,
        statuses: Sequence[StatusPart],
        transitions: Sequence[Transition],
        widest: float,
    ) -> None:
        self._rows: list[list[Entry]] = []
        for entry in _entries(statuses, transitions):
            if self._rows and _width([*self._rows[-1], entry]) <= widest:
                self._rows[-1].append(entry)
            else:
                self._rows.append([entry])
        self.height = ROW * len(self._rows)

    def draw(self, left: float, top: float) -> list[str]:
        """Draw it."""
        drawn: list[str] = []
        for place, row in enumerate(self._rows):
            x, middle = left, top + ROW * (place + 0.5)
            for entry in row:
                drawn.append(_sample(entry, x, middle))
                after = x + entry.sample + 6.0
                drawn.append(text(entry.meaning, after, middle, LETTERS, "note", "start"))
                x += entry.width + GAP
        return drawn


def _width(entries: Sequence[Entry]) -> float:
    return sum(entry.width for entry in entries) + GAP * (len(entries) - 1)


def _entries(statuses: Sequence[StatusPart], transitions: Sequence[Transition]) -> list[Entry]:
    kinds = {each.kind for each in transitions}
    kinds |= {label.kind for status in statuses for label in status.functions}
    marks = {mark for status in statuses for mark in status.marks}
    frames = (
        (Entry("start", "start"), any(status.is_start for status in statuses)),
        (Entry("entry", "other entry"), any(status.is_entry for status in statuses)),
        (Entry("end", "end"), any(status.is_terminal for status in statuses)),
    )
    return [
        *(entry for entry, is_there in frames if is_there),
        *(Entry(kind, kind.value) for kind in Kind if kind in kinds),
        *(Entry(mark, marks_line((mark,))) for mark in Mark if mark in marks),
    ]


def _sample(entry: Entry, x: float, middle: float) -> str:
    what = entry.what
    if isinstance(what, Mark):
        return icon_of(what, x, middle)
    if isinstance(what, Kind):
        line = element(
            "path",
            d=f"M{number(x)} {number(middle)} H{number(x + 22)}",
            class_="line",
            stroke_width=1.5,
            stroke_linecap="round",
            stroke_dasharray=DASHES.get(what),
        )
        tip = f"M{number(x + 29)} {number(middle)} l-8 -4 v8 z"
        return element(
            "g",
            line,
            element("path", d=tip, class_="solid"),
            icon_of(what, x + 34, middle),
            class_=what.name.lower(),
        )
    return _frame(what, x, middle)


def _frame(what: str, x: float, middle: float) -> str:
    if what == "end":
        frames = [
            element(
                "rect",
                x=x + inset,
                y=middle - 7 + inset,
                width=26 - 2 * inset,
                height=14 - 2 * inset,
                rx=7 - inset,
                class_="card end",
                stroke_width=1,
            )
            for inset in (0, 2.5)
        ]
        return "".join(frames)
    circle = (
        element("circle", cx=x + 5, cy=middle, r=5, class_="full")
        if what == "start"
        else element("circle", cx=x + 5, cy=middle, r=4.3, class_="begin", fill="none")
    )
    line = element(
        "path",
        d=f"M{number(x + 10)} {number(middle)} H{number(x + 20)}",
        class_="begin",
        stroke_width=1.5,
    )
    tip = element("path", d=f"M{number(x + 26)} {number(middle)} l-8 -4 v8 z", class_="full")
    return circle + line + tip
