"""The colours of a picture, on light and on dark backgrounds."""

from workflow_ray.diagram.parts import Kind, Tally

FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SCOPE = "workflow-diagram"
"""The class of the document, to which the styles are limited: it may be a part of a page."""

KINDS = {
    Kind.STEP: ("#475569", "#b6c2d1"),
    Kind.CALLBACK: ("#1d5fd1", "#82b1ff"),
    Kind.TIMEOUT: ("#8f5400", "#f0b65a"),
    Kind.CHILD: ("#6b3fc0", "#bda1f7"),
    Kind.FAILURE: ("#b3261e", "#ff8f86"),
}
TALLIES = {
    Tally.ACTIVE: ("#1d5fd1", "#82b1ff"),
    Tally.FAILED: ("#b3261e", "#ff8f86"),
    Tally.PAUSED: ("#8f5400", "#f0b65a"),
    Tally.COMPLETED: ("#1f7a4d", "#6fcf97"),
    Tally.CANCELLED: ("#5b6b80", "#9fb0c3"),
    Tally.DELETED: ("#5b6b80", "#9fb0c3"),
}
# selector: property, on light, on dark
_RULES = (
    (".page", "fill", "#ffffff", "#11161d"),
    (".halo", "stroke", "#ffffff", "#11161d"),
    (".pill", "fill", "#ffffff", "#11161d"),
    (".card", "fill", "#f6f8fb", "#1b232e"),
    (".card", "stroke", "#8fa0b5", "#5a6b80"),
    (".end", "fill", "#e9edf3", "#2a3442"),
    (".bad", "fill", "#fdeceb", "#3a2022"),
    (".bad", "stroke", "#cf6a63", "#b3615b"),
    (".lost", "fill", "none", "none"),
    (".name", "fill", "#0f172a", "#eef3f9"),
    (".note", "fill", "#4b5a6e", "#a9b8ca"),
    (".mark", "stroke", "#4b5a6e", "#a9b8ca"),
    (".begin", "stroke", "#475569", "#b6c2d1"),
    (".full", "fill", "#475569", "#b6c2d1"),
    (".rule", "stroke", "#d5dce6", "#333f4e"),
)


def style_sheet() -> str:
    """Return the style sheet. Readers that know no media queries show the light colours."""
    rules = [
        *_RULES,
        *(
            rule
            for kind, (light, dark) in KINDS.items()
            for rule in (
                (f".{kind.name.lower()} .line", "stroke", light, dark),
                (f".{kind.name.lower()} .solid", "fill", light, dark),
            )
        ),
        *(
            (f".{tally.name.lower()}-runs", "fill", light, dark)
            for tally, (light, dark) in TALLIES.items()
        ),
    ]
    light = "".join(f".{SCOPE} {where}{{{what}:{on}}}" for where, what, on, _ in rules)
    dark = "".join(f".{SCOPE} {where}{{{what}:{on}}}" for where, what, _, on in rules)
    return f"{light}@media (prefers-color-scheme:dark){{{dark}}}"
