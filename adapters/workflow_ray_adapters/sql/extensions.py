"""What few writes have: labels, another version of the data, and a place in flow control. A step
without them takes no statement of this module, and touches no column of these.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import ClauseElement

from workflow_ray.records import RunId, Write
from workflow_ray_adapters.sql.counters import OfStatus
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.found import Found
from workflow_ray_adapters.sql.rows import Values, lane
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.staged_rows import PAUSED
from workflow_ray_adapters.sql.tables import labels

NONE: Values = dict.fromkeys(
    ("labels", "data_version", "parked", "parking_key", "parking_rank", "lane")
)
"""The columns of a run without any of it."""


class Labelled(msgspec.Struct, frozen=True):
    """The labels that a run gets."""

    workflow: str
    labels: Mapping[str, str]
    is_new: bool  # the run has none in the store


@dataclass
class Extensions:
    """Of the writes of a transaction."""

    runs: set[RunId] = field(default_factory=set[RunId])  # those that have any of it
    labelled: dict[RunId, Labelled] = field(default_factory=dict[RunId, Labelled])
    # how often something changed at a status that flow control orders
    changes: Counter[OfStatus] = field(default_factory=Counter[OfStatus])

    def stage(
        self, write: Write, row: Values, workflow: str, found: Found | None, before: Values | None
    ) -> None:
        """Add to the row of a write.

        Args:
            write: The write.
            row: Its record's columns.
            workflow: The run's workflow.
            found: The run by now.
            before: The columns that the transaction has staged for the run before.
        """
        staged = before or NONE
        parking, label = write.parking, write.labels
        is_ordered = parking is not None and row["run_state"] < PAUSED
        row |= {
            # NULL: as stored
            "labels": staged.get("labels") if label is None else _encoded(label),
            "data_version": staged.get("data_version")
            if write.data is None
            else write.data_version,
            "parked": None if parking is None else int(write.parked),
            "parking_key": None if parking is None else parking.key,
            "parking_rank": None if parking is None else -parking.priority,
            "lane": lane(write.status, write.parked) if is_ordered else None,
        }
        self.runs.add(write.run_id)
        self._note_change(write, row, workflow, found)
        if label is not None:
            known = self.labelled.get(write.run_id)
            is_new = write.new is not None or (known is not None and known.is_new)
            self.labelled[write.run_id] = Labelled(workflow, label, is_new)

    def _note_change(self, write: Write, row: Values, workflow: str, found: Found | None) -> None:
        """Note what changes for flow control, at the status that the run leaves and at its new
        one.
        """
        before, after = found.lane if found else None, row["lane"]
        if before == after and found is not None and found.visit == write.visit:
            return
        if before is not None and found is not None:
            self.changes[workflow, found.status] += 1
        if after is not None:
            self.changes[workflow, write.status] += 1

    def apply(self, session: Session) -> None:
        """Write the labels. Those of a write replace all that the run has."""
        if not self.labelled:
            return
        stored = [run_id for run_id, labelled in self.labelled.items() if not labelled.is_new]
        if stored:
            session.execute(_remove, run_ids=sorted(stored))
        session.run(
            _insert,
            [
                {"run_id": run_id, "name": name, "workflow": of.workflow, "value": value}
                for run_id, of in sorted(self.labelled.items())
                for name, value in sorted(of.labels.items())
            ],
        )


def _encoded(label: Mapping[str, str]) -> str:
    return msgspec.json.encode(label).decode()


def _remove(dialect: Dialect) -> ClauseElement:
    return labels.delete().where(dialect.among(labels.c.run_id, "run_ids"))


def _insert(dialect: Dialect) -> ClauseElement:
    return dialect.insert(labels)
