"""What actors ask of the cluster, as earlier actors of the same role and code have told."""

from workflow_ray.definition import RayOptions
from workflow_ray.definition.ray_options import NOTHING
from workflow_ray.runtime.ray.state import Slot, Wanted

PLACING = 5.0
"""Seconds without a report after which an actor that asks for something counts as waiting for a
node. Ray does not tell that it waits.
"""


class Placement:
    """Learns what the actors of each group ask for.

    Only actors import definitions, so the first actor of a group tells, and is started again. It
    is forgotten with the supervisor, and told again to the next one.
    """

    def __init__(self) -> None:
        # by the group of the role and its code
        self._asks: dict[tuple[str, str], RayOptions] = {}

    def of(self, wanted: Wanted) -> RayOptions:
        """Return what to start the actor with."""
        return self._asks.get(_key(wanted), NOTHING)

    def learn(self, slot: Slot) -> None:
        """Learn from the last report of the actor in the slot."""
        if slot.report is not None and slot.report.asks is not None:
            self._asks[_key(slot.wanted)] = slot.report.asks


def _key(wanted: Wanted) -> tuple[str, str]:
    return wanted.shard_set[0], wanted.code
