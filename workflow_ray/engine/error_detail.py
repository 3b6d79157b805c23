"""What the history keeps of the error of a failed attempt."""

import traceback
from collections.abc import Iterator
from itertools import islice
from types import FrameType

from workflow_ray.engine.error_text import SHOWN, is_group, leaves_of, text_of
from workflow_ray.engine.interrupts import is_interrupt
from workflow_ray.engine.next_version import MAX_REASON, kept, storable
from workflow_ray.records import ErrorDetail

MAX_TRACE = 16_000
"""The bytes of a trace that the history keeps, the newest lines, as UTF-8. Pages of a history have
many entries, and must fit into a frame.
"""
MAX_TYPE = 300
"""The characters of the name of an error's type that the history keeps."""
FRAMES = 50
"""The newest frames of one error that a trace has."""
LINKS = 5
"""The errors of a chain that a trace has: the error, and those that led to it."""
NOTES = 10
"""The notes of an error that a trace has."""
OURS = frozenset({"workflow_ray", "workflow_ray_adapters"})
"""The packages whose frames are left out."""
CUT = "(earlier lines are left out)\n"
CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


def detail_of(text: str, error: BaseException, *, traces: bool) -> ErrorDetail:
    """Describe an error that user code has raised.

    Args:
        text: The error as its type and its text.
        error: The error.
        traces: Whether the trace is kept.
    """
    kind = type(error)
    return ErrorDetail(
        type=type_of(kind),
        message=kept(text.removeprefix(kind.__qualname__).removeprefix(": ")),
        trace=trace_of(error) if traces else None,
    )


def type_of(kind: type[BaseException]) -> str:
    """Name a type of errors by its module, unless that is `builtins`, and its qualified name."""
    module, name = str(kind.__module__), kind.__qualname__
    return storable((name if module == "builtins" else f"{module}.{name}")[:MAX_TYPE])


def trace_of(error: BaseException) -> str:
    """Format the traceback of an error, and of the errors that led to it, as Python does.

    It has no frames of this package. The texts of errors are formatted as in reasons, so that it
    shows no value of the data that a reason does not show.
    """
    try:
        text = storable("".join(_lines(error)))
    except BaseException as failure:  # an error may be of any class, with any attributes
        if is_interrupt(failure):
            raise
        return f"the trace can't be made, because of {type(failure).__qualname__}"
    return newest_lines(text, MAX_TRACE)


def newest_lines(text: str, size: int) -> str:
    """Return as many of the last whole lines as fit, or the end of the last line.

    Args:
        text: The lines.
        size: The most bytes, as UTF-8.
    """
    stored = text.encode()
    if len(stored) <= size:
        return text
    end = stored[-(size - len(CUT)) :]
    _, newline, whole = end.partition(b"\n")
    return CUT + (whole if newline and whole else end).decode(errors="ignore")


def _lines(error: BaseException) -> Iterator[str]:
    for joint, one in reversed(_chain(error)):
        yield from _lines_of(one)
        if is_group(one):
            errors = leaves_of(one)
            for number, leaf in enumerate(errors[:SHOWN], start=1):
                yield f"\nError {number} of {len(errors)} in the group:\n"
                yield from _lines_of(leaf)
        yield joint


def _chain(error: BaseException) -> list[tuple[str, BaseException]]:
    """The error and those that led to it, the newest first, each with what joins it to the next."""
    chain: list[tuple[str, BaseException]] = []
    seen = set[int]()
    joint, one = "", error
    while id(one) not in seen and len(chain) < LINKS:
        seen.add(id(one))
        chain.append((joint, one))
        if one.__cause__ is not None:
            joint, one = CAUSE, one.__cause__
        elif one.__context__ is not None and not one.__suppress_context__:
            joint, one = CONTEXT, one.__context__
    return chain


def _lines_of(error: BaseException) -> Iterator[str]:
    stack = traceback.StackSummary.extract(_frames(error), limit=-FRAMES)
    if stack:
        yield "Traceback (most recent call last):\n"
        yield from stack.format()
    yield f"{text_of(error)[:MAX_REASON]}\n"
    for note in islice(getattr(error, "__notes__", ()), NOTES):
        yield f"{str(note)[:MAX_REASON]}\n"


def _frames(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__"))
        if module.partition(".")[0] not in OURS:
            yield frame, line
