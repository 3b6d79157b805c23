"""The flow control of boxes: what their histories tell of the limits."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from tests.unit.roles.trip_boxes import SENDERS, SENT, SENT_WITH_FATE
from tests.unit.roles.trip_data import Box
from tests.unit.roles.trip_pasts import Past
from tests.unit.roles.trip_weights import held_back
from workflow_ray import Rate
from workflow_ray.records import Cause, HistoryEntry


def check_flow(boxes: Iterable[Past]) -> None:
    """Check the limits of boxes, whoever has admitted them."""
    boxes = list(boxes)
    _check_senders(boxes)
    by_fate: dict[str | None, list[datetime]] = defaultdict(list)
    for past in boxes:
        by_fate[past.fate] += [e.at for e in past.entries if e.cause is Cause.ADMITTED]
    for fate, admitted in by_fate.items():
        _check_rate(sorted(admitted), SENT_WITH_FATE, f"boxes that are to be {fate}")
    _check_rate(sorted(itertools.chain(*by_fate.values())), SENT, "boxes")


def _check_senders(boxes: Iterable[Past]) -> None:
    """No more boxes than allowed were admitted to their step at a time."""
    changes: list[tuple[datetime, int]] = []
    for past in boxes:
        is_sender = False
        for entry in past.entries:
            will_be = entry.cause is Cause.ADMITTED or (is_sender and _keeps_slot(entry))
            if will_be != is_sender:
                changes.append((entry.at, 1 if will_be else -1))
                is_sender = will_be
    senders = itertools.accumulate(change for _, change in sorted(changes))
    assert max(senders, default=0) <= SENDERS, changes


def _keeps_slot(entry: HistoryEntry) -> bool:
    if entry.status != Box.PACKED.value or entry.run_state.at_rest:
        return False
    is_given_back = entry.cause in (Cause.PARKED, Cause.MOVED, Cause.RESUMED)
    return not is_given_back or held_back(entry) is not None


def _check_rate(admitted: Sequence[datetime], rate: Rate, what: str) -> None:
    """No period of the rate's length, wherever it begins, has more admissions than it allows."""
    period = timedelta(seconds=rate.stored.seconds)
    for first, beyond in zip(admitted, admitted[rate.count :], strict=False):
        assert beyond - first >= period, f"more than {rate} {what} from {first} to {beyond}"
