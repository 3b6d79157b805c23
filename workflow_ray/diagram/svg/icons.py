"""Small pictures, so that no kind is told by its colour alone. Each is a square of SIZE pixels."""

from workflow_ray.diagram.parts import Kind, Mark
from workflow_ray.diagram.svg.elements import element

SIZE = 12.0
_KINDS = {
    Kind.STEP: "M4 2.5 L9.5 6 L4 9.5 Z",
    Kind.CALLBACK: "M1.5 3 H10.5 V9.5 H1.5 Z M1.5 3.5 L6 7 L10.5 3.5",
    Kind.TIMEOUT: "M6 1.2 A4.8 4.8 0 1 1 5.99 1.2 Z M6 3.4 V6.2 L8 7.4",
    Kind.CHILD: "M1.5 1.5 H8 V8 H1.5 Z M4.5 10.5 H10.5 V4.5",
    Kind.FAILURE: "M6 1.5 L11 10.2 H1 Z M6 4.8 V7.2 M6 8.6 V8.9",
}
_MARKS = {
    Mark.REPEAT: "M9.9 4.4 A4.3 4.3 0 1 0 10.3 6.6 M10.2 1.8 V4.6 H7.4",
    Mark.STAY: "M2 6.5 h.8 M5.6 6.5 h.8 M9.2 6.5 h.8",
    Mark.PAUSE: "M4 2.5 V9.5 M8 2.5 V9.5",
    Mark.CANCEL: "M2.8 2.8 L9.2 9.2 M9.2 2.8 L2.8 9.2",
}


def icon_of(what: Kind | Mark, x: float, middle: float) -> str:
    """Draw an icon. That of a kind takes its colour from the group around it.

    Args:
        what: What it is for.
        x: Its left side.
        middle: The height of its middle.
    """
    path = _KINDS[what] if isinstance(what, Kind) else _MARKS[what]
    return element(
        "path",
        d=path,
        transform=f"translate({x:.1f} {middle - SIZE / 2:.1f})",
        class_="line" if isinstance(what, Kind) else "mark",
        fill="none",
        stroke_width=1.4,
        stroke_linecap="round",
        stroke_linejoin="round",
    )
