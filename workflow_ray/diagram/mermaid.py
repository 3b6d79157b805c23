"""Writes a diagram as a flowchart of Mermaid."""

import re
from collections.abc import Sequence

from workflow_ray.diagram.parts import Kind, StatusPart, Transition
from workflow_ray.diagram.wording import lines_of

COLOURS = {
    Kind.STEP: "#64748b",
    Kind.CALLBACK: "#2f6fdf",
    Kind.TIMEOUT: "#b36b00",
    Kind.CHILD: "#8257d6",
    Kind.FAILURE: "#d03b32",
}
"""They can be read on white and on black, because the page decides on its background."""
ARROWS = {Kind.TIMEOUT: "-.->", Kind.FAILURE: "-.->"}
_SPECIAL = re.compile(r"[^\w \n.,:()/+=?!'-]|[.+-](?= )")
"""What could be syntax or HTML, or the beginning of a list in Markdown."""


def text(statuses: Sequence[StatusPart], transitions: Sequence[Transition]) -> str:
    """Write the diagram."""
    lines = ["flowchart TD"]
    for place, status in enumerate(statuses):
        lines.append(f"    s{place}{_shape(status)}")
        if status.is_beginning:
            lines.append(f"    b{place}(( )) --> s{place}")
    for each in transitions:
        label = _escaped("\n".join(_line(each.kind, one.text) for one in each.labels))
        arrow = ARROWS.get(each.kind, "-->")
        lines.append(f'    s{each.source} {arrow}|"{label}"| s{each.target}')
    return "\n".join([*lines, *_styles(statuses, transitions)]) + "\n"


def _shape(status: StatusPart) -> str:
    label = _escaped("\n".join([status.name, *lines_of(status)]))
    return f'(["{label}"])' if status.is_terminal else f'["{label}"]'


def _line(kind: Kind, line: str) -> str:
    return line if kind in (Kind.STEP, Kind.FAILURE) else f"{kind.value}: {line}"


def _styles(statuses: Sequence[StatusPart], transitions: Sequence[Transition]) -> list[str]:
    """Colour the arrows by their kinds. Mermaid counts them in the order of the text."""
    begins = sum(status.is_beginning for status in statuses)
    lines: list[str] = []
    for kind, colour in COLOURS.items():
        places = [
            str(begins + place) for place, each in enumerate(transitions) if each.kind is kind
        ]
        if places:
            lines.append(f"    linkStyle {','.join(places)} stroke:{colour},color:{colour}")
    if starts := [f"b{i}" for i, each in enumerate(statuses) if each.is_start]:
        lines.append(f"    style {','.join(starts)} fill:#64748b,stroke:#64748b")
    if ends := [f"s{i}" for i, each in enumerate(statuses) if each.is_terminal]:
        lines.append("    classDef terminal stroke-width:3px")
        lines.append(f"    class {','.join(ends)} terminal")
    return lines


def _escaped(label: str) -> str:
    """Write special characters as numbered entities."""
    return _SPECIAL.sub(lambda found: f"#{ord(found[0])};", label).replace("\n", "<br/>")
