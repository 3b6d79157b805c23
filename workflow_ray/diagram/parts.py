"""What a diagram shows: statuses, and the transitions between them."""

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a transition is caused by. The value is its name in the legend."""

    STEP = "step"
    CALLBACK = "callback"
    TIMEOUT = "timeout"
    CHILD = "end of children"
    FAILURE = "failure"


class Mark(Enum):
    """What else the functions of a status may do with a run. The value is what it is called."""

    REPEAT = "repeat"
    STAY = "stay"
    PAUSE = "pause"
    CANCEL = "cancel"


class Tally(Enum):
    """What runs are counted as. The value is what it is called."""

    ACTIVE = "active"
    FAILED = "failed"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Label:
    """A function that takes runs further, or one that fails."""

    kind: Kind
    name: str
    detail: str = ""  # e.g. when a timeout is due

    @property
    def text(self) -> str:
        """The name and the detail in one line."""
        return f"{self.name}, {self.detail}" if self.detail else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusPart:
    """A status, with its functions that lead to no other status."""

    name: str
    is_start: bool = False
    is_entry: bool = False  # runs may also begin here
    is_terminal: bool = False
    is_known: bool = True  # False: only runs tell of it, and the code has it no more
    functions: tuple[Label, ...] = ()  # those that lead to no status
    marks: tuple[Mark, ...] = ()
    counts: tuple[tuple[Tally, int], ...] = ()  # without zeros

    @property
    def is_beginning(self) -> bool:
        """Whether runs may begin here."""
        return self.is_start or self.is_entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """The functions of one kind that lead from one status to another, or to itself."""

    source: int  # the place of the status in the diagram
    target: int
    kind: Kind
    labels: tuple[Label, ...]
