"""Crowds of boxes, which wait for their turn while the role that admits them moves."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.unit.roles.trip_data import BoxPlan
from tests.unit.roles.trip_plans import BOXES
from tests.unit.roles.trip_upgrades import UpgradeRules
from workflow_ray.records import admission_group

MOMENTS = st.lists(st.sampled_from([0.0, 0.3, 1.0, 3.0]), max_size=5)


class CrowdRules(UpgradeRules):
    """Starts many boxes at once."""

    def __init__(self) -> None:
        super().__init__()
        self._crowds = 0

    @rule(boxes=st.lists(BOXES, min_size=3, max_size=8), moments=MOMENTS, crashes=st.booleans())
    def crowd(self, boxes: list[BoxPlan], moments: list[float], crashes: bool) -> None:
        """More boxes come than may be sent, and one process after another admits them."""
        self._crowds += 1
        for number, box in enumerate(boxes):
            code = self._any_code()
            data = code.content(fate=box.fate)
            client = self._client(code.boxes)
            self._do(client.trigger(f"crowd-{self._crowds}-{number}", data))
        roles = self._processes.roles
        (role,) = [each for each in roles if each.group == admission_group("boxes")]
        for seconds in moments:
            self.pass_time(seconds)
            if crashes:
                self._do(self._processes.crash(role))
            self._do(self._processes.take_over(role))
