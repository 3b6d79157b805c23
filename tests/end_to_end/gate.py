"""A file beside the journal of workers, which holds up their steps while it exists."""

from collections.abc import Iterable
from pathlib import Path


def held(journal: Path) -> Path:
    """The file that holds up steps."""
    return journal.with_name("held")


def is_held(journals: Iterable[Path]) -> bool:
    """Whether the steps of a worker are held up that writes these journals."""
    return any(held(journal).exists() for journal in journals)
