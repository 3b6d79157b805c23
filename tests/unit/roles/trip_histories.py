"""What must hold of the histories of the runs of `trips`."""

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tests.unit.roles.trip_pasts import Past
from tests.unit.roles.trips import AFTER
from workflow_ray import Workflow
from workflow_ray.engine.run_states import may_move
from workflow_ray.records import Cause

MAY_NOTE = {
    Cause.STEP: ("once", "start"),
    Cause.REPEAT: ("once", "start"),
    Cause.CALLBACK: ("go", "hurry", "free"),
    Cause.TIMEOUT: tuple(AFTER),
    Cause.CHILD: ("child",),
    Cause.CHILDREN: ("gathered",),
    Cause.CANCEL: ("free",),  # a callback has cancelled the run
}
"""What a version of each cause may note. All others note nothing."""
ONCE_AT_MOST = ("go", "hurry", "free", *AFTER)
"""The kinds of notes that are different each time."""


def check_foreign_ids(pasts: Sequence[Past]) -> None:
    """At most one run of a foreign id is unfinished, at all times."""
    by_name: dict[str, list[Past]] = {}
    for past in pasts:
        by_name.setdefault(past.record.foreign_id, []).append(past)
    for runs in by_name.values():
        for earlier, later in itertools.pairwise(runs):
            assert earlier.record.run_state.finished, (earlier, later)
            assert earlier.end.at <= later.record.created_at, (earlier, later)


def check_history(past: Past, workflow: Workflow[Any, Any]) -> None:
    """Each version follows from the one before, and notes only what its cause allows, and once."""
    entries, graph = past.entries, workflow.checked()
    assert [entry.version for entry in entries] == list(range(1, past.record.version + 1))
    for before, after in itertools.pairwise(entries):
        assert may_move(before.run_state, after.run_state), (before, after)
        here, there = (workflow.status_of(entry.status) for entry in (before, after))
        is_moved = after.cause is Cause.MOVED
        assert is_moved or here == there or there in graph.targets(here), (before, after)
    for entry, notes in zip(entries, past.added, strict=True):
        kinds = {note.split(":")[0] for note in notes}
        assert kinds <= set(MAY_NOTE.get(entry.cause, ())), (entry, notes)
        if entry.cause not in (Cause.STEP, Cause.REPEAT):
            assert len(notes) <= 1, (entry, notes)
    noted = Counter(note for note in past.notes if note.split(":")[0] in ONCE_AT_MOST)
    assert all(count == 1 for count in noted.values()), noted
    booked = {note for note in past.notes if note.startswith("once:")}
    visits = Counter(note.split(":")[1] for note in booked)
    assert all(count == 1 for count in visits.values()), f"several results of once: {booked}"


def check_gatherings(past: Past) -> None:
    """The counts of a gathering are those of the children that were started since the last one."""
    since = 0
    for notes in past.added:
        since += sum(note.startswith("start:") for note in notes)
        for note in notes:
            if note.startswith("gathered:"):
                started, completed, cancelled = map(int, note.split(":")[1:])
                assert started == completed + cancelled == since, (note, since, past)
                since = 0
