"""What becomes of an event that was delivered, or that has failed."""

import logging
from typing import Generic

from workflow_ray.engine.next_version import kept
from workflow_ray.engine.visible import visible
from workflow_ray.records import NewSetAside, RoleName
from workflow_ray.roles.delivery import Delivery, E, Failure, Handler, Log
from workflow_ray.roles.delivery_commits import Change, Commits
from workflow_ray.roles.delivery_entries import entry_of
from workflow_ray.roles.delivery_order import Order

logger = logging.getLogger(__name__)


class DeliveryOutcomes(Generic[E]):
    """Commits what becomes of each event, and lets those after it go on."""

    def __init__(
        self,
        role: RoleName,
        log: Log[E],
        handler: Handler[E],
        commits: Commits[E],
        order: Order[E],
    ) -> None:
        self._role = role
        self._log = log
        self._handler = handler
        self._commits = commits
        self._order = order

    def ended(self, delivery: Delivery[E], failure: Failure[E] | None) -> None:
        """Finish an event, or set it aside for another attempt, or for good."""
        if failure is None:
            key = delivery.key if delivery.is_aside else None
            self._commits.add(Change(delivery=delivery, taken_back=key))
            self._order.ended(delivery, remains=False)
            return
        attempt = delivery.number if failure.is_counted else delivery.number - 1
        has_attempts = attempt < failure.retry.attempts or not failure.is_counted
        is_last = failure.is_fatal or not has_attempts
        delay = None if is_last else failure.retry.delay(delivery.item.id, max(1, attempt))
        entry = self._entry(delivery, failure.rest, attempt, failure.error, delay)
        self._log_failure(delivery, failure, attempt, entry.retry_in)
        self._fail(delivery, entry)

    def cancelled(self, delivery: Delivery[E]) -> Failure[E]:
        """Make the failure of an event whose handler has cancelled its own task."""
        event = delivery.item.event
        error = "CancelledError: the handler cancelled its own task"
        return Failure(error, self._handler.retry(event), event)

    def died(self, delivery: Delivery[E]) -> None:
        """Give up an event whose attempts are used up by processes that died."""
        error = (
            f"the process died while {self._handler.name} ran, and its attempts"
            f" ({delivery.attempt}) are used up"
        )
        text = "%s: event %s: %s. It is a dead letter now."
        where = {"role": self._role}
        logger.error(text, self._role, visible(delivery.item.id), error, extra=where)
        self._fail(
            delivery, self._entry(delivery, delivery.item.event, delivery.attempt, error, None)
        )
        delivery.ended.set()

    def _entry(
        self, delivery: Delivery[E], rest: E, attempt: int, error: str, delay: float | None
    ) -> NewSetAside:
        packed = self._log.pack(rest, None)
        return entry_of(delivery, packed, attempt=attempt, error=kept(error), retry_in=delay)

    def _fail(self, delivery: Delivery[E], entry: NewSetAside) -> None:
        self._commits.add(Change(delivery=delivery, set_aside=entry))
        self._order.ended(delivery, remains=entry.retry_in is not None)

    def _log_failure(
        self, delivery: Delivery[E], failure: Failure[E], attempt: int, delay: float | None
    ) -> None:
        """Log a failed attempt: the last one as an error, with the traceback."""
        text = "%s: %s failed for event %s (attempt %d of %d): %s. %s"
        values = (
            self._role,
            self._handler.name,
            visible(delivery.item.id),
            attempt,
            failure.retry.attempts,
            visible(kept(failure.error)).removesuffix("."),
        )
        where = {"role": self._role}
        if delay is None:
            after = "No attempt follows; the event is a dead letter."
            logger.error(text, *values, after, exc_info=failure.raised, extra=where)
        else:
            logger.warning(text, *values, f"Retrying in {delay:.1f} s.", extra=where)
