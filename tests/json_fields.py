"""The reference of the fields that --json prints, from the structs in the code."""

import ast
import inspect
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from textwrap import dedent

from workflow_ray.cli import (
    bulk_views,
    dead_letters,
    diff,
    limits,
    report,
    results,
    run_controls,
    run_forks,
    run_history,
    schedules,
    status_views,
    views,
)
from workflow_ray.engine import definition_changes
from workflow_ray.runtime import comparing
from workflow_ray.runtime.ray.log_reader import Entry as LogEntry

COMMANDS: dict[tuple[str, ...], tuple[str, tuple[type, ...]]] = {
    ("run",): ("an object", (report.Report, report.RefusedLine)),
    ("deploy",): ("an object", (results.Deployed, results.DeployedWorkflow)),
    ("diff",): ("an object", (diff.Diff, comparing.Comparison, definition_changes.Change)),
    ("scale",): ("an object", (results.Scaled,)),
    ("undeploy",): ("an object", (results.Undeployed,)),
    ("down",): ("an object", (results.Stopped,)),
    ("status",): (
        "an object",
        (
            status_views.Report,
            status_views.StatusView,
            status_views.FailureView,
            status_views.RoleView,
            status_views.LogsView,
        ),
    ),
    ("logs",): ("a line with an object for each entry", (LogEntry,)),
    ("runs list",): ("a list", (views.RunView,)),
    ("runs counts",): ("a list", (views.CountView,)),
    ("runs show",): ("an object", (views.RunWithData, views.ErrorView)),
    ("runs history",): ("a list", (views.EntryView, views.ErrorView)),
    ("runs history --data",): ("a list", (run_history.EntryWithData,)),
    (
        "runs pause",
        "runs resume",
        "runs retry",
        "runs cancel",
        "runs move",
        "runs delete-data",
    ): (
        "an object",
        (run_controls.ControlReport,),
    ),
    ("runs fork",): ("an object", (run_forks.Fork,)),
    ("bulk start",): (
        "an object; with --wait a line with an object for each change",
        (bulk_views.BulkView, bulk_views.BulkCounts),
    ),
    ("bulk show",): (
        "an object; with --wait a line with an object for each change",
        (bulk_views.BulkView,),
    ),
    ("bulk list",): ("a list", (bulk_views.BulkView,)),
    ("limits list",): ("a list", (limits.LimitView,)),
    ("limits set", "limits reset"): ("an object", (limits.LimitView,)),
    ("bulk pause", "bulk resume", "bulk abort"): ("an object", (bulk_views.BulkView,)),
    ("bulk drop",): ("an object", (bulk_views.BulkDropped,)),
    ("schedules list",): ("a list", (schedules.ScheduleView,)),
    ("schedules pause", "schedules resume"): ("an object", (schedules.SchedulePause,)),
    ("schedules trigger",): ("an object", (schedules.ScheduleTrigger,)),
    ("schedules backfill",): ("an object", (schedules.Backfill,)),
    ("dead-letters list",): ("a list", (dead_letters.DeadLetterView,)),
    ("dead-letters show",): ("an object", (dead_letters.DeadLetterWithContent,)),
    ("dead-letters replay", "dead-letters drop"): (
        "an object",
        (dead_letters.DeadLettersChanged,),
    ),
}
"""Commands, what they print, and the kinds of objects in it."""


@dataclass(frozen=True)
class Field:
    name: str
    type: str
    meaning: str


def text() -> str:
    """Make the section of the page."""
    return "".join(_section(commands, *printed) for commands, printed in COMMANDS.items())


def fields(kind: type) -> list[Field]:
    """Return the fields of a kind, its bases' first, with the comments in the code as meanings."""
    found = {field.name: field for base in reversed(kind.__mro__) for field in _declared(base)}
    return list(found.values())


def _section(commands: tuple[str, ...], printed: str, kinds: tuple[type, ...]) -> str:
    title = ", ".join(f"`{command} --json`" for command in commands)
    parts = [f"\n### {title}\n\nPrints {printed}.\n"]
    for kind in kinds:
        about = inspect.cleandoc(kind.__doc__ or "").split("\n")[0]
        rows = "".join(
            f"| `{field.name}` | {field.type.replace('|', 'or')} | {field.meaning} |\n"
            for field in fields(kind)
        )
        parts.append(
            f"\n**{kind.__name__}**: {about}\n\n| field | type | meaning |\n|---|---|---|\n{rows}"
        )
    return "".join(parts)


def _declared(kind: type) -> Iterator[Field]:
    if not kind.__module__.startswith("workflow_ray"):
        return
    source = dedent(inspect.getsource(kind))
    trailing: dict[int, str] = {}
    above: dict[int, str] = {}  # the comment is a line of its own
    for token in tokenize.generate_tokens(StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            line, column = token.start
            comments = trailing if token.line[:column].strip() else above
            comments[line] = token.string.lstrip("# ")
    (declared,) = ast.parse(source).body
    assert isinstance(declared, ast.ClassDef)
    for each in declared.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            meaning = trailing.get(each.lineno) or above.get(each.lineno - 1, "")
            yield Field(each.target.id, _json_type(ast.unparse(each.annotation)), meaning)


def _json_type(annotation: str) -> str:
    for python, json in {
        "Sequence[": "list[",
        "datetime": "time",
        "msgspec.Raw": "any",
        "None": "null",
    }.items():
        annotation = annotation.replace(python, json)
    return annotation
