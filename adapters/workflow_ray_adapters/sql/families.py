"""Children: who has started whom, and how many children of a workflow are open, as the staged
writes of a transaction make them.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ClauseElement, select

from workflow_ray.records import NO_VERSION, Gathered, Link, Linked, RunId, Version
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.message_rows import from_statuses, to_statuses
from workflow_ray_adapters.sql.rows import Values
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.tables import gatherings, links


@dataclass
class Families:
    """Links, and counts of children that are gathered.

    Args:
        parents: The links of runs that end, by the child.
        gathered: The counts, by parent and workflow of the children.
    """

    parents: dict[RunId, list[Linked]] = field(default_factory=dict[RunId, list[Linked]])
    gathered: dict[tuple[RunId, str], Gathered] = field(
        default_factory=dict[tuple[RunId, str], Gathered]
    )

    def __post_init__(self) -> None:
        self._new: dict[tuple[RunId, RunId, Version], Linked] = {}
        self._counted: set[tuple[RunId, str]] = set()  # counts that have changed
        self._stored = set(self.gathered)  # counts that the store holds

    def link(self, linked: Linked, workflow: str) -> bool:
        """Link a child of the workflow. False: the parent's version has linked it already."""
        key = (linked.parent, linked.child, linked.since)
        if self._new.setdefault(key, linked) is not linked:
            return False
        self.parents.setdefault(linked.child, []).append(linked)
        if linked.link.gathered_at:
            of = (linked.parent, workflow)
            self.gathered.setdefault(of, Gathered(linked.since)).start()
            self._counted.add(of)
        return True

    def end(self, linked: Linked, workflow: str, run_state: int) -> bool:
        """Count the end of a gathered child. True: none is open any more."""
        of = (linked.parent, workflow)
        gathered = self.gathered[of]
        gathered.end(run_state)
        self._counted.add(of)
        return not gathered.unended

    def count(self, parent: RunId, workflow: str) -> Gathered:
        """Return the count of the parent's children of the workflow."""
        return self.gathered.get((parent, workflow)) or Gathered(NO_VERSION)

    def forget(self, parent: RunId, workflow: str) -> None:
        """Count the children that start from now on."""
        if self.gathered.pop((parent, workflow), None):
            self._counted.add((parent, workflow))

    def apply(self, session: Session) -> None:
        """Write what has changed, in the order of the keys."""
        session.run(_insert_link, [_link_row(self._new[key]) for key in sorted(self._new)])
        changed = sorted(self._counted & self.gathered.keys())
        session.run(_count, [_gathering_row(*of, self.gathered[of]) for of in changed])
        forgotten = sorted((self._counted - self.gathered.keys()) & self._stored)
        session.run(
            _forget, [{"of_parent": parent, "of_workflow": name} for parent, name in forgotten]
        )


def _link_row(linked: Linked) -> Values:
    return {
        "parent": linked.parent,
        "child": linked.child,
        "version": linked.since,
        "statuses": from_statuses(linked.link.statuses),
        "gathered_at": from_statuses(linked.link.gathered_at),
        "cascades": linked.link.cascades,
    }


def _gathering_row(parent: RunId, workflow: str, gathered: Gathered) -> Values:
    return {
        "parent": parent,
        "workflow": workflow,
        "since": gathered.since,
        "unended": gathered.unended,
        "started": gathered.started,
        "completed": gathered.completed,
        "cancelled": gathered.cancelled,
    }


def _insert_link(dialect: Dialect) -> ClauseElement:
    return dialect.insert(links)


def _count(dialect: Dialect) -> ClauseElement:
    counts = ("since", "unended", "started", "completed", "cancelled")
    return dialect.upsert(gatherings, lambda _, new: {name: getattr(new, name) for name in counts})


def _forget(dialect: Dialect) -> ClauseElement:
    key = {"of_parent": gatherings.c.parent, "of_workflow": gatherings.c.workflow}

    def is_key(row: Any, new: Any) -> tuple[Any, ...]:
        return row.parent == new["of_parent"], row.workflow == new["of_workflow"]

    return dialect.delete(gatherings, key, is_key)


# --- what a transaction finds -------------------------------------------------------------------


def find_parents(session: Session, children: Collection[RunId]) -> dict[RunId, list[Linked]]:
    """Return the links of the children to their parents."""
    found: dict[RunId, list[Linked]] = {}
    rows = session.rows(_parents, children=children) if children else []
    for parent, child, version, statuses, gathered_at, cascades in rows:
        link = Link(
            statuses=to_statuses(statuses),
            gathered_at=to_statuses(gathered_at),
            cascades=bool(cascades),
        )
        found.setdefault(child, []).append(Linked(parent, child, Version(version), link))
    return found


def _parents(dialect: Dialect) -> ClauseElement:
    columns = links.c
    return (
        select(
            columns.parent,
            columns.child,
            columns.version,
            columns.statuses,
            columns.gathered_at,
            columns.cascades,
        )
        .where(dialect.among(columns.child, "children"))
        .order_by(columns.child, columns.parent, columns.version)
    )


def find_gathered(session: Session, parents: Iterable[RunId]) -> dict[tuple[RunId, str], Gathered]:
    """Return the counts of the parents' children."""
    asked = list(parents)
    rows = session.rows(_gathered, parents=asked) if asked else []
    return {(parent, workflow): Gathered(*counts) for parent, workflow, *counts in rows}


def _gathered(dialect: Dialect) -> ClauseElement:
    columns = gatherings.c
    return select(
        columns.parent,
        columns.workflow,
        columns.since,
        columns.unended,
        columns.started,
        columns.completed,
        columns.cancelled,
    ).where(dialect.among(columns.parent, "parents"))
