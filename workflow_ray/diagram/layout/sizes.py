"""What is laid out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The size of something, in pixels, on both sides of its vertical axis."""

    left: float
    right: float
    height: float
    half: float = 0.0  # of the width of the sides that links meet, around the axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link from one node to another one, with its label. A node has no link to itself."""

    source: int
    target: int
    label: Box
    is_main: bool = True  # False: it gives way to others
