"""Diagrams for tests."""

import random

from workflow_ray.diagram import Diagram, Kind, Label, Mark, StatusPart, Tally, Transition

HOSTILE = 'a "b" <c> & d\\e\nf; g|h #9 %% ]) `i` \x1b'
"""A name with what each of the formats must escape."""

SHOP = Diagram(
    "orders",
    (
        StatusPart(name="CREATED", is_start=True, marks=(Mark.PAUSE, Mark.CANCEL)),
        StatusPart(name="AWAITING", functions=(Label(Kind.CALLBACK, "noted"),), marks=(Mark.STAY,)),
        StatusPart(name="RETURNED", is_entry=True),
        StatusPart(name="PAID", is_terminal=True, counts=((Tally.COMPLETED, 1200),)),
        StatusPart(name="FAILED", is_terminal=True),
        StatusPart(name="status 9", is_known=False, counts=((Tally.PAUSED, 2),)),
    ),
    (
        Transition(source=0, target=1, kind=Kind.STEP, labels=(Label(Kind.STEP, "reserve"),)),
        Transition(
            source=0,
            target=4,
            kind=Kind.FAILURE,
            labels=(Label(Kind.FAILURE, "reserve fails", "after 3 attempts"),),
        ),
        Transition(
            source=1,
            target=3,
            kind=Kind.CALLBACK,
            labels=(Label(Kind.CALLBACK, "paid"), Label(Kind.CALLBACK, "waived")),
        ),
        Transition(
            source=1,
            target=1,
            kind=Kind.TIMEOUT,
            labels=(Label(Kind.TIMEOUT, "remind", "after 2 d"),),
        ),
        Transition(source=2, target=0, kind=Kind.STEP, labels=(Label(Kind.STEP, "again"),)),
    ),
    runs=1202,
)


def random_diagram(rng: random.Random) -> Diagram:
    """Make a diagram with up to 30 statuses, cycles, loops, and parallel transitions."""
    count = rng.randint(1, 30)
    statuses = tuple(
        StatusPart(
            name="_".join(
                rng.choices(("WAITING", "FOR", "Ü", "x", "CUSTOMERwithoutAnySpace"), k=5)
            ),
            is_start=place == 0,
            is_entry=rng.random() < 0.1,
            is_terminal=rng.random() < 0.2,
            marks=tuple(mark for mark in Mark if rng.random() < 0.2),
            counts=tuple((tally, rng.randint(1, 10**7)) for tally in Tally if rng.random() < 0.2),
        )
        for place in range(count)
    )
    ways: dict[tuple[int, int, Kind], list[Label]] = {}
    for _ in range(rng.randint(0, 3 * count)):
        way = rng.randrange(count), rng.randrange(count), rng.choice(list(Kind))
        detail = rng.choice(("", "after 3 h", "a run of a_workflow_with_a_long_name ended"))
        label = Label(way[2], "_".join(rng.choices(("send", "the", "invoice"), k=4)), detail)
        ways.setdefault(way, []).append(label)
    return Diagram(
        "random",
        statuses,
        tuple(
            Transition(source=source, target=target, kind=kind, labels=tuple(labels))
            for (source, target, kind), labels in ways.items()
        ),
    )
