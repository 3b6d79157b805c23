"""Prints the log lines of workers and jobs on standard error."""

import logging

from workflow_ray.cli.output import write_error
from workflow_ray.runtime.logs import VisibleFormatter


class _Handler(logging.Handler):
    """Prints above a progress bar, and nothing where standard error is closed or broken."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # an argument's __str__ has failed
            self.handleError(record)
        else:
            write_error(text)


def configure(level: int, template: str) -> None:
    """Print log records from a level up on standard error.

    Args:
        level: The least level, e.g. logging.INFO.
        template: The format of a line, as for logging.Formatter.
    """
    handler = _Handler()
    handler.setFormatter(VisibleFormatter(template))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it reports each of its own steps
