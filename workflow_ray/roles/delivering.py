"""The deliveries that a deliverer runs, in the order in which they came, a limited number at a
time.
"""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from itertools import islice
from typing import Any, Generic

from workflow_ray.roles.delivery import Delivery, E, Failure, Phase
from workflow_ray.roles.steps import CANCELLING, raised

log = logging.getLogger(__name__)


class Delivering(Generic[E]):
    """Runs deliveries, each in a task that runs only the handler.

    Args:
        limit: The most deliveries that run at a time.
        call: Does the work of the task. What it raises, such as RoleLost, ends the role.
        ended: Called with each delivery that has ended and was not abandoned.
        cancelled: Makes the failure of a delivery whose handler has cancelled its own task.
        flush: Commits the rows of the partitions, so that deliveries may begin.
        spawn: Starts a task whose errors end the role.
        context: The context variables of the handlers.
    """

    def __init__(
        self,
        limit: int,
        call: Callable[[Delivery[E]], Coroutine[Any, Any, Failure[E] | None]],
        ended: Callable[[Delivery[E], Failure[E] | None], None],
        cancelled: Callable[[Delivery[E]], Failure[E]],
        flush: Callable[[], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        context: contextvars.Context,
    ) -> None:
        self._limit = limit
        self._call = call
        self._ended = ended
        self._cancelled = cancelled
        self._flush = flush
        self._spawn = spawn
        self._context = context
        self._waiting: deque[Delivery[E]] = deque()
        self._running = dict[asyncio.Task[Failure[E] | None], Delivery[E]]()
        self._flushing = False
        self.closed = False  # whether no further delivery begins

    def running(self) -> int:
        """The number of deliveries that run now. Thread-safe."""
        return len(self._running)

    def free(self) -> int:
        """How many deliveries may begin before others end. Reserves those that wait."""
        free = max(0, self._limit - len(self._running))
        for delivery in islice(self._waiting, free):
            delivery.reserve()
        return free

    def start(self, delivery: Delivery[E]) -> None:
        """Run the delivery as soon as fewer than the limit are running."""
        self._waiting.append(delivery)
        self._fill()

    def launch(self, delivery: Delivery[E]) -> None:
        """Run the delivery now."""
        delivery.phase = Phase.RUNNING
        task = asyncio.get_running_loop().create_task(
            self._call(delivery), context=self._context.copy()
        )
        self._running[task] = delivery
        task.add_done_callback(self._task_ended)

    def withdraw(self) -> list[Delivery[E]]:
        """Take back the deliveries that have not begun, and return them."""
        withdrawn = list(self._waiting)
        self._waiting.clear()
        return withdrawn

    def abandon(self) -> list[Delivery[E]]:
        """Cancel the running deliveries, begin no other, and return those that were running."""
        self.closed = True
        abandoned = [one for one in self._running.values() if one.phase is Phase.RUNNING]
        for task, delivery in self._running.items():
            delivery.phase = Phase.ABANDONED
            task.cancel()
        return abandoned

    async def close(self) -> None:
        """Wait for the tasks of abandoned deliveries, for at most CANCELLING seconds."""
        if self._running:
            await asyncio.wait(list(self._running), timeout=CANCELLING)
        for delivery in self._running.values():
            log.error(
                "the delivery of event %s does not end although it was cancelled; it is left alone",
                delivery.item.id,
            )

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._limit and not self.closed:
            if not self._waiting[0].reserve():
                if not self._flushing:
                    self._flushing = True
                    self._spawn(self._flushed())
                return
            self.launch(self._waiting.popleft())

    async def _flushed(self) -> None:
        await self._flush()
        self._flushing = False
        self._fill()

    def _task_ended(self, task: asyncio.Task[Failure[E] | None]) -> None:
        delivery = self._running.pop(task)
        # read it also if it was abandoned: otherwise asyncio logs it
        error = None if task.cancelled() else task.exception()
        if delivery.phase is Phase.RUNNING:
            if isinstance(error, Exception):
                self._spawn(raised(error))
            elif task.cancelled():
                self._report(delivery, self._cancelled(delivery))
            elif error is None:
                self._report(delivery, task.result())
        delivery.ended.set()
        self._fill()

    def _report(self, delivery: Delivery[E], failure: Failure[E] | None) -> None:
        try:
            self._ended(delivery, failure)
        # It is an error of this package. Raised in a callback, it would only be logged, and the
        # event would stay in hand for ever.
        except Exception as error:
            self._spawn(raised(error))
