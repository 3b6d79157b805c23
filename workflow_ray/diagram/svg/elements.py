"""Elements of an SVG document."""

import re
from collections.abc import Iterable
from xml.sax.saxutils import escape, quoteattr

from workflow_ray.diagram.lettering import Font

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BASELINE = 0.35
"""Of the font size: from the middle of a line down to its baseline."""


def element(tag: str, *children: str, **attributes: str | float | None) -> str:
    """Make an element.

    Args:
        tag: Its name.
        children: Elements, or text from `escaped`.
        attributes: With `_` for `-`; one at the end is dropped. None: left out.
    """
    written = "".join(
        f" {name.rstrip('_').replace('_', '-')}={_quoted(value)}"
        for name, value in attributes.items()
        if value is not None
    )
    if not children:
        return f"<{tag}{written}/>"
    return f"<{tag}{written}>{''.join(children)}</{tag}>"


def group(children: Iterable[str], *, title: str, class_: str) -> str:
    """Make a group that shows a text when the mouse rests on it."""
    return element("g", element("title", escaped(title)), *children, class_=class_)


def text(line: str, x: float, middle: float, font: Font, class_: str, anchor: str) -> str:
    """Make a line of text.

    Args:
        line: The text.
        x: Where it starts, or where its middle is.
        middle: The height of its middle.
        font: Its size.
        class_: Of the style.
        anchor: "start" or "middle".
    """
    return element(
        "text",
        escaped(line),
        x=x,
        y=middle + font.size * _BASELINE,
        class_=class_,
        font_size=font.size,
        font_weight=600 if font.bold else None,
        text_anchor=None if anchor == "start" else anchor,
    )


def escaped(line: str) -> str:
    """Escape text. What XML can't hold is replaced."""
    return escape(_NOT_XML.sub("\ufffd", line))


def number(value: float) -> str:
    """Write a coordinate with one decimal at most."""
    return f"{round(value, 1):g}" if abs(value) < 100_000 else str(round(value))


def _quoted(value: str | float) -> str:
    return quoteattr(_NOT_XML.sub("\ufffd", value) if isinstance(value, str) else number(value))
