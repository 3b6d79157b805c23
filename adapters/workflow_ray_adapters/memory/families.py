"""Children: who has started whom, and how many children of a workflow are open."""

from workflow_ray.records import (
    NO_VERSION,
    Gathered,
    Linked,
    RunId,
    RunQuery,
    RunState,
    Version,
)


class Families:
    """Links, and counts of children that are gathered."""

    def __init__(self) -> None:
        self._children: dict[RunId, list[Linked]] = {}  # by the parent
        # by the child, then by the parent and its version
        self._parents: dict[RunId, dict[tuple[RunId, Version], Linked]] = {}
        self._gathered: dict[RunId, dict[str, Gathered]] = {}  # by parent and workflow

    def link(self, linked: Linked, workflow: str) -> bool:
        """Link a child of the workflow. False: the parent's version has linked it already."""
        parents = self._parents.setdefault(linked.child, {})
        if parents.setdefault((linked.parent, linked.since), linked) is not linked:
            return False
        self._children.setdefault(linked.parent, []).append(linked)
        if linked.link.gathered_at:
            gathered = self._gathered.setdefault(linked.parent, {})
            gathered.setdefault(workflow, Gathered(linked.since)).start()
        return True

    def end(self, linked: Linked, workflow: str, run_state: RunState) -> bool:
        """Count the end of a gathered child. True: none is open any more."""
        gathered = self._gathered[linked.parent][workflow]
        gathered.end(run_state)
        return not gathered.unended

    def gathered(self, parent: RunId, workflow: str) -> Gathered:
        """Return the count of the parent's children of the workflow."""
        return self._gathered.get(parent, {}).get(workflow) or Gathered(NO_VERSION)

    def forget(self, parent: RunId, workflow: str) -> None:
        """Count the children that start from now on."""
        self._gathered.get(parent, {}).pop(workflow, None)

    def remove(self, run_id: RunId) -> None:
        """Remove the links of a run, as a parent and as a child, and the counts of its children."""
        for linked in self._children.pop(run_id, ()):
            self._parents[linked.child].pop((run_id, linked.since), None)
        for linked in self._parents.pop(run_id, {}).values():
            if linked.parent in self._children:
                self._children[linked.parent].remove(linked)
        self._gathered.pop(run_id, None)

    def parents(self, child: RunId) -> list[Linked]:
        return list(self._parents.get(child, {}).values())

    def members(self, query: RunQuery) -> list[RunId] | None:
        """Return the runs that `parent` and `child` of the query allow. None: any run."""
        if query.parent is not None:
            links = [
                linked
                for linked in self._children.get(query.parent, ())
                if linked.since >= query.since and (linked.link.cascades or not query.cascading)
            ]
            children = {linked.child for linked in links}
            if query.child is not None:
                children &= {linked.parent for linked in self.parents(query.child)}
            return sorted(children)
        if query.child is not None:
            return sorted({linked.parent for linked in self.parents(query.child)})
        return None
