"""Shows the progress of a job: a bar on a terminal, a line now and then elsewhere."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from workflow_ray.cli.output import complain, error_console, visible

EVERY = 2.0
"""Seconds between two lines."""

Show: TypeAlias = Callable[[int, int], None]
"""Takes how many runs have ended, and how many there are so far."""


@contextmanager
def show_progress(what: str) -> Generator[Show]:
    """Show the progress of `what` on standard error until the block ends."""
    console = error_console()
    with _bar(console, what) if console.is_terminal else _lines(what) as show:
        yield show


@contextmanager
def _bar(console: Console, what: str) -> Generator[Show]:
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(visible(what), total=None)
        yield lambda ended, total: progress.update(task, completed=ended, total=total)


@contextmanager
def _lines(what: str) -> Generator[Show]:
    due = time.monotonic() + EVERY

    def show(ended: int, total: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + EVERY
            complain(f"{what}: {ended:,} of {total:,} ended")

    yield show
