"""Log lines on standard error, as a worker and a job print them."""

import logging
from types import TracebackType
from typing import TypeAlias

from workflow_ray.cli.output import visible

ExceptionInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class VisibleFormatter(logging.Formatter):
    """Makes visible what data, reasons and foreign ids bring into a log line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return visible(super().formatMessage(record))

    def formatException(self, ei: ExceptionInfo) -> str:
        return "\n".join(visible(line) for line in super().formatException(ei).split("\n"))


def configure(level: int, template: str) -> None:
    """Print log records from a level up on standard error.

    Args:
        level: The least level, e.g. logging.INFO.
        template: The form of a line, as logging.Formatter takes it.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter(template))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it reports each of its own steps
