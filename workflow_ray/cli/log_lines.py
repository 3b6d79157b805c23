"""Log lines on standard error, as a worker and a job print them."""

import logging

from workflow_ray.runtime.logs import VisibleFormatter


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
