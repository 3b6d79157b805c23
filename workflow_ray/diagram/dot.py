"""Writes a diagram in the language of Graphviz."""

import re
from collections.abc import Sequence

from workflow_ray.diagram.mermaid import COLOURS
from workflow_ray.diagram.parts import Kind, StatusPart, Transition
from workflow_ray.diagram.wording import lines_of

HEAD = (
    "    rankdir=TB; nodesep=0.5; ranksep=0.5; labelloc=t;",
    '    graph [fontname="Helvetica", fontsize=16];',
    '    node [fontname="Helvetica", fontsize=12, shape=box,'
    ' style="rounded,filled", fillcolor="#f8fafc", color="#64748b", margin="0.2,0.1"];',
    '    edge [fontname="Helvetica", fontsize=10];',
)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
DASHED = {Kind.TIMEOUT, Kind.FAILURE}


def text(name: str, statuses: Sequence[StatusPart], transitions: Sequence[Transition]) -> str:
    """Write the diagram."""
    lines = [f"digraph {_quoted(name)} {{", f"    label={_quoted(name)};", *HEAD]
    for place, status in enumerate(statuses):
        label = _quoted("\n".join([status.name, *lines_of(status)]))
        double = ", peripheries=2" if status.is_terminal else ""
        lines.append(f"    s{place} [label={label}{double}];")
        if status.is_beginning:
            fill = "#64748b" if status.is_start else "#ffffff"
            lines.append(
                f'    b{place} [label="", shape=circle, width=0.15, fillcolor="{fill}"];'
                f' b{place} -> s{place} [color="#64748b"];'
            )
    lines += [_edge(each) for each in transitions]
    return "\n".join([*lines, "}"]) + "\n"


def _edge(transition: Transition) -> str:
    colour = COLOURS[transition.kind]
    label = _quoted("\n".join(label.text for label in transition.labels))
    kind = _quoted(transition.kind.value)
    dashed = ", style=dashed" if transition.kind in DASHED else ""
    return (
        f"    s{transition.source} -> s{transition.target} [label={label}, tooltip={kind},"
        f' color="{colour}", fontcolor="{colour}"{dashed}];'
    )


def _quoted(label: str) -> str:
    """Quote a label. Graphviz reads entities of HTML in it, and escapes with a backslash."""
    escaped = (
        _CONTROL.sub("\ufffd", label)
        .replace("&", "&amp;")
        .replace("\\", "\\\\")
        .replace('"', '\\"')
    )
    return '"' + escaped.replace("\n", "\\n") + '"'
