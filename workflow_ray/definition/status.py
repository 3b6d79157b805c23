"""Statuses: the nodes of a workflow's graph."""

from enum import Enum


class Status(Enum):
    """The base class of a workflow's statuses. Each member has a number of its own, from 1 up.

    The numbers are stored, so never change one. The first member is the start of the workflow,
    unless the workflow names another one.
    """

    _value_: int
    # each member is one object; Enum's __hash__, by name, is slower
    __hash__ = object.__hash__
