"""What a transaction finds, and what its staged writes make of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

from workflow_ray.records import RunId, Version
from workflow_ray_adapters.sql.rows import lane
from workflow_ray_adapters.sql.staged_rows import CANCELLED, PAUSED


class Found(NamedTuple):
    """A run as the transaction finds it, or has changed it."""

    run_id: RunId
    version: Version
    workflow: str
    status: int
    run_state: int
    partition: int
    awaiting: int | None
    marks: int
    visit: Version
    awaited: Version
    data_version: int | None  # None: 1
    parked: int | None  # as the column has it

    @property
    def is_finished(self) -> bool:
        return self.run_state >= CANCELLED

    @property
    def is_at_rest(self) -> bool:
        return self.run_state >= PAUSED

    @property
    def lane(self) -> int | None:
        """Return where flow control finds it. None: nowhere."""
        is_ordered = self.parked is not None and not self.is_at_rest
        return lane(self.status, self.parked or 0) if is_ordered else None


_marks = attrgetter("marks")  # in a `map`, it takes a third of the time of a generator
_tuple: Any = tuple
make_found: Callable[[Iterable[Any]], Found] = partial(_tuple.__new__, Found)
"""Makes one of its fields, in their order. The class itself takes twice as long."""


@dataclass
class Existing:
    """What the store holds of the runs and keys that are written. A run that is not in `runs` does
    not exist.
    """

    runs: dict[RunId, Found]
    # (workflow, idempotency key) -> the run that used it first, its digest
    keys: dict[tuple[str, str], tuple[RunId, bytes | None]]
    unfinished: dict[tuple[str, str], RunId]  # (workflow, foreign id) -> its unfinished run
    # (workflow, foreign id) that a message is addressed to -> its newest run
    newest: dict[tuple[str, str], RunId] = field(default_factory=dict[tuple[str, str], RunId])

    @property
    def has_marks(self) -> bool:
        """Return whether one of the runs has more than its record."""
        return any(map(_marks, self.runs.values()))
