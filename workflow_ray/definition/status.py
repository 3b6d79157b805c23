"""The nodes of a workflow's graph."""

from enum import Enum


class Status(Enum):
    """Where a run can stand. Subclass it, each member a number of its own from 1 up; numbers are
    stored, so never change one.

    The first member is a workflow's start unless it names another.
    """

    _value_: int
    # each member is one object; Enum's own, by name, is written in Python
    __hash__ = object.__hash__
