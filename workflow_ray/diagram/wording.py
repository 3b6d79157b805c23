"""The words of a diagram, which all its formats share."""

from collections.abc import Sequence

from workflow_ray.diagram.parts import Mark, StatusPart, Tally, Transition


def marks_line(marks: Sequence[Mark]) -> str:
    """Say what the functions of a status may do besides leading on: "may pause or cancel"."""
    words = [mark.value for mark in marks]
    if not words:
        return ""
    *others, last = words
    return f"may {', '.join(others)} or {last}" if others else f"may {last}"


def counted(tally: Tally, runs: int) -> str:
    """Say how many runs there are: "1,200 paused"."""
    return f"{runs:,} {tally.value}"


def lines_of(status: StatusPart) -> list[str]:
    """What is written below the name of a status."""
    functions = [f"{label.kind.value}: {label.text}" for label in status.functions]
    counts = [counted(tally, runs) for tally, runs in status.counts]
    unknown = [] if status.is_known else ["not in the code"]
    return [
        line for line in (*unknown, *functions, marks_line(status.marks), ", ".join(counts)) if line
    ]


def sentences(statuses: Sequence[StatusPart], transitions: Sequence[Transition]) -> str:
    """Describe a diagram to those who can't see it."""
    begins = [status.name for status in statuses if status.is_start]
    ends = [status.name for status in statuses if status.is_terminal]
    ways = [
        f"{statuses[each.source].name} to {statuses[each.target].name}: {each.kind.value}"
        f" {'; '.join(label.text for label in each.labels)}."
        for each in transitions
    ]
    notes = [
        f"{status.name}: {'; '.join(lines)}." for status in statuses if (lines := lines_of(status))
    ]
    return " ".join(
        [
            f"Runs start at {', '.join(begins)}." if begins else "",
            f"They end at {', '.join(ends)}." if ends else "",
            *ways,
            *notes,
        ]
    ).strip()
