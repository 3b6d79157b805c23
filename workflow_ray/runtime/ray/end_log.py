"""What the supervisor logs when an actor ends."""

import logging

from workflow_ray.runtime.ray.state import Slot

log = logging.getLogger(__name__)


class EndLog:
    """Logs why actors have ended.

    A definition that can't be loaded is logged once: all roles of the workflow end for the same
    reason, at each attempt. The reason names the workflow.
    """

    def __init__(self) -> None:
        self._unusable = set[str]()  # the reasons that were logged

    def log(self, slot: Slot) -> None:
        """Log the end of the actor that held the slot."""
        name = slot.wanted.name
        if slot.is_replaced:
            log.debug("%s ended: %s", name, slot.why, extra={"role": name})
        elif not slot.unusable:
            log.warning("%s ended: %s", name, slot.why, extra={"role": name})
        elif slot.why not in self._unusable:
            self._unusable.add(slot.why)
            log.error("some roles can't run: %s", slot.why, extra={"role": name})

    def log_unplaced(self, slot: Slot) -> None:
        """Log what the actor in the slot waits for."""
        name = slot.wanted.name
        text = "%s waits for a node with %s; add one to the cluster, or free what is in use"
        log.warning(text, name, slot.asks, extra={"role": name})
