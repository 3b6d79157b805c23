"""The picture of a workflow."""

from collections.abc import Sequence
from zlib import crc32

from workflow_ray.diagram.layout import Drawing, Link, lay_out
from workflow_ray.diagram.lettering import Font
from workflow_ray.diagram.parts import Kind, Label, StatusPart, Transition
from workflow_ray.diagram.svg import lines
from workflow_ray.diagram.svg.cards import Card
from workflow_ray.diagram.svg.elements import element, escaped, number, text
from workflow_ray.diagram.svg.legend import Legend
from workflow_ray.diagram.svg.pills import Pills
from workflow_ray.diagram.svg.style import FONTS, SCOPE, style_sheet
from workflow_ray.diagram.wording import sentences

MARGIN = 24.0
TITLE = Font(19, bold=True)
SUBTITLE = Font(12.5)
HEADING = 60.0
"""The height of title and subtitle."""
LEAST = 420.0
"""The least width, so that the legend has room."""
LONGEST_TITLE = 640.0


class Picture:
    """Lays out a diagram and draws it.

    Args:
        name: The workflow's name.
        subtitle: What is below it.
        statuses: The cards.
        transitions: The lines.
    """

    def __init__(
        self,
        name: str,
        subtitle: str,
        statuses: Sequence[StatusPart],
        transitions: Sequence[Transition],
    ) -> None:
        self._name = name
        self._subtitle = subtitle
        self._statuses = statuses
        self._transitions = transitions
        self._ways = [each for each in transitions if each.source != each.target]
        self.cards = [
            Card(status, self._is_bad(place), Pills(self._loop(place)))
            for place, status in enumerate(statuses)
        ]
        self.pills = [Pills(each.labels) for each in self._ways]
        self.drawing = self._lay_out()

    def svg(self) -> str:
        """Draw it."""
        (title,) = TITLE.wrap(self._name, LONGEST_TITLE, 1)
        heading = max(TITLE.width(title), SUBTITLE.width(self._subtitle))
        width = max(self.drawing.width, LEAST, heading)
        legend = Legend(self._statuses, self._transitions, width)
        below = MARGIN + HEADING + self.drawing.height + 22
        height = below + 14 + legend.height + MARGIN - 6
        left = MARGIN + (width - self.drawing.width) / 2
        content = [
            text(title, MARGIN, MARGIN + TITLE.size / 2, TITLE, "name", "start"),
            text(self._subtitle, MARGIN, MARGIN + 32, SUBTITLE, "note", "start"),
            element("g", *self._drawn(), transform=f"translate({left:.1f} {MARGIN + HEADING:.1f})"),
            element(
                "path",
                d=f"M{number(MARGIN)} {number(below)} H{number(MARGIN + width)}",
                class_="rule",
            ),
            *legend.draw(MARGIN, below + 10),
        ]
        return self._document(content, width + 2 * MARGIN, height)

    def _document(self, content: Sequence[str], width: float, height: float) -> str:
        # several pictures may be parts of one page
        prefix = f"{SCOPE}-{crc32(self._name.encode('utf-8', 'replace')):08x}"
        described = sentences(self._statuses, self._transitions)
        children = [
            element("title", escaped(f"Workflow {self._name}"), id=f"{prefix}-title"),
            element("desc", escaped(described), id=f"{prefix}-desc"),
            element("style", style_sheet()),
            element("rect", width=width, height=height, rx=10, class_="page"),
            *content,
        ]
        return (
            element(
                "svg",
                *(f"\n{child}" for child in children),
                "\n",
                xmlns="http://www.w3.org/2000/svg",
                viewBox=f"0 0 {number(width)} {number(height)}",
                width=width,
                height=height,
                role="img",
                aria_labelledby=f"{prefix}-title {prefix}-desc",
                class_=SCOPE,
                font_family=FONTS,
            )
            + "\n"
        )

    def _drawn(self) -> list[str]:
        """Draw lines, then labels, then cards. Lines of failures are below the others."""
        ways = sorted(
            range(len(self._ways)), key=lambda place: self._ways[place].kind is not Kind.FAILURE
        )
        routes = self.drawing.routes
        return [
            *(f"\n{lines.draw(routes[i], self._ways[i].kind)}" for i in ways),
            *(
                "\n"
                + element(
                    "g", element("title", escaped(self._title(i))), pill.draw(*routes[i].label)
                )
                for i, pill in enumerate(self.pills)
            ),
            *(
                f"\n{card.draw(*self.drawing.nodes[place])}"
                for place, card in enumerate(self.cards)
            ),
        ]

    def _title(self, place: int) -> str:
        way = self._ways[place]
        source, target = self._statuses[way.source].name, self._statuses[way.target].name
        labels = "\n".join(label.text for label in way.labels)
        return f"{source} to {target}: {way.kind.value}\n{labels}"

    def _is_bad(self, place: int) -> bool:
        kinds = {each.kind for each in self._ways if each.target == place}
        return self._statuses[place].is_terminal and kinds == {Kind.FAILURE}

    def _loop(self, place: int) -> tuple[Label, ...]:
        return tuple(
            label
            for each in self._transitions
            if each.source == each.target == place
            for label in each.labels
        )

    def _lay_out(self) -> Drawing:
        links = [
            Link(
                source=way.source,
                target=way.target,
                label=pills.box,
                is_main=way.kind not in (Kind.FAILURE, Kind.TIMEOUT),
            )
            for way, pills in zip(self._ways, self.pills, strict=True)
        ]
        return lay_out([card.box for card in self.cards], links)
