"""The diagram of a workflow."""

from workflow_ray.diagram.parts import StatusPart, Transition


class Diagram:
    """The graph of a workflow, to be shown to people. `Workflow.graph` makes it.

    The same workflow and counts give the same text, whatever the machine. A notebook shows a
    diagram as its picture.
    """

    def __init__(
        self,
        name: str,
        statuses: tuple[StatusPart, ...],
        transitions: tuple[Transition, ...],
        *,
        runs: int | None = None,
    ) -> None:
        """Make a diagram.

        Args:
            name: The workflow's name.
            statuses: The start is first, if there is one.
            transitions: Each names its statuses by their places.
            runs: The number of all runs; None: they are not counted.
        """
        self.name = name
        self.statuses = statuses
        self.transitions = transitions
        self.runs = runs

    @property
    def subtitle(self) -> str:
        """The number of statuses, and that of runs if they are counted."""
        known = sum(status.is_known for status in self.statuses)
        parts = [_several(known, "status", "statuses")]
        if self.runs is not None:
            parts.append(_several(self.runs, "run", "runs"))
        return " · ".join(parts)

    def mermaid(self) -> str:
        """Return the diagram as a flowchart of Mermaid, which Markdown on many sites shows."""
        from workflow_ray.diagram import mermaid  # every process has diagrams, and few draw one

        return mermaid.text(self.statuses, self.transitions)

    def dot(self) -> str:
        """Return the diagram in the language of Graphviz."""
        from workflow_ray.diagram import dot

        return dot.text(self.name, self.statuses, self.transitions)

    def svg(self) -> str:
        """Return the diagram as an SVG document.

        It loads nothing: no fonts, scripts or style sheets. It follows the reader's choice of light
        or dark colours, and has a title and a description for screen readers. It can be a file of
        its own or a part of a page.
        """
        from workflow_ray.diagram.svg.picture import Picture

        return Picture(self.name, self.subtitle, self.statuses, self.transitions).svg()

    def _repr_svg_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return f"<diagram of {self.name}>"


def _several(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
