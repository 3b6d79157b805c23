"""The runs that flow control orders, by the status at which it does."""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from datetime import datetime
from typing import TypeAlias

from workflow_ray.records import Parked, ParkedKey, ParkedQuery, ParkedRun, Record, RunId
from workflow_ray_adapters.memory.notifications import Notifications

At: TypeAlias = tuple[str, int]  # a workflow and its status
Place: TypeAlias = tuple[At, str, int, RunId, bool]  # key, priority, run, whether it is parked


class Parkings:
    """The parked runs of each status and key, in their order, and how many hold a slot."""

    def __init__(self) -> None:
        self.changes = Notifications[At]()
        self._numbers = Counter[At]()  # how often each status has changed
        self._orders: dict[At, _Orders] = {}

    def move(self, before: Record | None, after: Record | None) -> None:
        """Put a run where its new record says. None: it does not exist."""
        was, is_now = _place(before), _place(after)
        if was == is_now:
            return
        if was is not None:
            self._at(was[0]).remove(was)
        if is_now is not None:
            self._at(is_now[0]).add(is_now)
        changed = {place[0] for place in (was, is_now) if place is not None}
        self._numbers.update(changed)
        self.changes.notify(changed)

    def read(self, query: ParkedQuery, now: datetime) -> Parked:
        at = query.workflow, query.status
        orders = self._orders.get(at) or _Orders()
        start = 0 if query.after is None else bisect_right(orders.keys, query.after)
        keys = orders.keys[start : start + query.keys]
        return Parked(
            keys=tuple(
                ParkedKey(
                    key=key,
                    admitted=orders.admitted[key],
                    parked=tuple(
                        ParkedRun(run_id=run_id, priority=-descending)
                        for descending, run_id in orders.parked.get(key, ())[: query.per_key]
                    ),
                )
                for key in keys
            ),
            admitted=orders.admitted.total(),
            more=start + len(keys) < len(orders.keys),
            change=self._numbers[at],
            now=now,
        )

    def _at(self, at: At) -> "_Orders":
        return self._orders.setdefault(at, _Orders())


class _Orders:
    """The runs of one status."""

    def __init__(self) -> None:
        self.keys: list[str] = []  # sorted: those with parked runs, or with runs that hold a slot
        self.admitted = Counter[str]()  # the runs that hold a slot, by key
        # by key: the priority, negated, and the run, sorted
        self.parked: dict[str, list[tuple[int, RunId]]] = {}

    def add(self, place: Place) -> None:
        _, key, priority, run_id, is_parked = place
        if not self._has(key):
            insort(self.keys, key)
        if is_parked:
            insort(self.parked.setdefault(key, []), (-priority, run_id))
        else:
            self.admitted[key] += 1

    def remove(self, place: Place) -> None:
        _, key, priority, run_id, is_parked = place
        if is_parked:
            runs = self.parked[key]
            del runs[bisect_left(runs, (-priority, run_id))]
            if not runs:
                del self.parked[key]
        else:
            self.admitted[key] -= 1
            if not self.admitted[key]:
                del self.admitted[key]
        if not self._has(key):
            del self.keys[bisect_left(self.keys, key)]

    def _has(self, key: str) -> bool:
        return key in self.parked or key in self.admitted


def _place(record: Record | None) -> Place | None:
    """Return where the run stands. None: flow control does not order it, or it is at rest."""
    if record is None or record.parking is None or record.run_state.at_rest:
        return None
    parking = record.parking
    at = record.workflow, record.status
    return at, parking.key, parking.priority, record.run_id, record.parked
