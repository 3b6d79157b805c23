"""What hypothesis chooses for trips."""

from hypothesis import strategies as st

from tests.unit.roles.trip_data import BoxPlan, Plan


def _each_name_once(boxes: list[BoxPlan]) -> list[BoxPlan]:
    shared = {box.shared: box for box in boxes if box.shared}
    return [*(box for box in boxes if not box.shared), *shared.values()]


NAMES = st.sampled_from(["a", "b", "c"])
FATES = st.sampled_from(["sent", "cancelled", "overdue", "held"])
SHARED = st.sampled_from([None, None, "shared-1", "shared-2"])
JOINS = st.sampled_from([True, True, True, False])
BOXES = st.builds(BoxPlan, shared=SHARED, joins=JOINS, cascades=st.booleans(), fate=FATES)
PLANS = st.builds(
    Plan,
    to=st.sampled_from(["WAIT", "GATHER", "EACH"]),
    boxes=st.lists(BOXES, max_size=4).map(_each_name_once),
    rounds=st.integers(0, 2),
)
CASCADES = st.sampled_from([None, True, False])
FORK_NAMES = st.sampled_from(["a", "b", "c", "d", "shared-1", "shared-2"])
THEN = st.sampled_from(["stay", "stay", "again", "wait", "gather", "done", "fail"])
WORKFLOWS = st.sampled_from(["trips", "trips", "boxes"])
