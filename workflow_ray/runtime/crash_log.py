"""The log of roles that crash, and the pause before they start again."""

import logging
from collections.abc import Callable

from workflow_ray.errors import (
    AdapterNotInstalled,
    InvalidInput,
    StoreError,
    StoreMismatch,
    StoreMissing,
)
from workflow_ray.ports import LONGEST_PAUSE
from workflow_ray.records import RoleName

log = logging.getLogger(__name__)

LONGEST_AFTER_MISTAKE = 60.0
"""The longest pause if the definition or a setting is wrong: only a deploy mends that."""


class CrashLog:
    """Logs the crashes of one process's roles.

    Args:
        store_gone: Called when a role finds that the store is gone, or another one.
    """

    def __init__(self, store_gone: Callable[[StoreError], None]) -> None:
        self._store_gone = store_gone
        self._is_store_gone = False

    def log(self, error: BaseException, role: RoleName, pause: float) -> None:
        """Log a crash, while the error is handled.

        Args:
            error: What the role has raised.
            role: Its name.
            pause: The seconds until it starts again.
        """
        if _is_mistake(error):
            text = "role %s can't run: %s Trying again in %.1f s."
            log.error(text, role, error, pause, extra={"role": role})
        elif not isinstance(error, StoreMissing | StoreMismatch):
            log.exception(
                "role %s crashed; starting it again in %.1f s", role, pause, extra={"role": role}
            )
        elif not self._is_store_gone:  # else all roles log it, at each attempt
            self._is_store_gone = True
            log.error("no role can run: %s", error, extra={"role": role})
            self._store_gone(error)


def longest_pause(error: BaseException) -> float:
    """Return the most seconds between two starts of a role that has raised this error."""
    return LONGEST_AFTER_MISTAKE if _is_mistake(error) else LONGEST_PAUSE


def _is_mistake(error: BaseException) -> bool:
    """Whether the error tells the user everything, so that it needs no traceback."""
    return isinstance(error, InvalidInput | AdapterNotInstalled)
