"""Log lines of the processes that run roles: the same on standard error and in files on Ray."""

import logging
from types import TracebackType
from typing import TypeAlias

from workflow_ray.engine.visible import visible

ExceptionInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)
WITH_TIME = "%(asctime)s %(levelname)s %(message)s"


class VisibleFormatter(logging.Formatter):
    """Makes visible what data, reasons and foreign ids bring into a log line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return visible(super().formatMessage(record))

    def formatException(self, ei: ExceptionInfo) -> str:
        return "\n".join(visible(line) for line in super().formatException(ei).split("\n"))
