"""A thread that watches an event loop, and acts if a step blocks it for too long."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import TypeAlias

from workflow_ray.roles.loopwatch import CHECK, PATIENCE, LoopWatch, Occupant

log = logging.getLogger(__name__)

Blocked: TypeAlias = Callable[[Occupant | None, float], None]
"""Called in the watcher's thread, with the step that blocks the loop, if a step does, and with the
seconds since the loop has last answered.
"""


class LoopWatcher:
    """Watches a loop from a thread of its own until `close`. Logs what blocks it for a second."""

    def __init__(self, blocked: Blocked, *, limit: float = PATIENCE) -> None:
        """Begin to watch the running loop. Called in its thread.

        Args:
            blocked: Called once each time that the loop is blocked for too long.
            limit: Seconds for which the loop may be blocked.
        """
        self._blocked = blocked
        self._limit = limit
        self._watch = LoopWatch(asyncio.get_running_loop())
        self._closed = threading.Event()
        threading.Thread(target=self._run, name="watching the event loop", daemon=True).start()

    def close(self) -> None:
        """Watch no longer. Does not wait for the thread."""
        self._closed.set()

    def _run(self) -> None:
        has_acted = False
        while not self._closed.wait(CHECK):
            try:
                silence = self._watch.check()
            except RuntimeError:  # the loop is closed
                return
            if silence >= self._limit and not has_acted:
                self._act(silence)
            has_acted = silence >= self._limit

    def _act(self, seconds: float) -> None:
        try:
            self._blocked(self._watch.occupant(), seconds)
        except Exception:
            log.exception("acting on a blocked event loop failed; it is still watched")
