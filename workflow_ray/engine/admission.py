"""Admission: which parked runs of a status go on to its step now. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from workflow_ray.engine.rates import WHOLE, Rates, digest_of
from workflow_ray.records import FlowLimits, ParkedKey, RunId


class Turn(NamedTuple):
    """A run that is admitted."""

    run_id: RunId
    key: str


@dataclass(frozen=True, slots=True)
class Choice:
    """The runs that are admitted, in order."""

    turns: tuple[Turn, ...]
    is_cut: bool = False  # further runs may be admitted, which were not read or are too many


def has_room(key: ParkedKey, limits: FlowLimits, rates: Rates, now: int) -> bool:
    """Whether the limits per key allow a parked run of the key.

    Args:
        key: The key, with its runs.
        limits: Those of the status.
        rates: What its rates count.
        now: The time by the store's clock, in milliseconds since 1970.
    """
    return bool(key.parked) and _room(key, limits, rates, now) > 0


def choose(
    found: Sequence[ParkedKey],
    admitted: int,
    limits: FlowLimits,
    rates: Rates,
    *,
    now: int,
    most: int,
    per_key: int,
) -> Choice:
    """Choose the runs that are admitted: one of each key in turn, as long as the limits allow.

    Args:
        found: The keys, the one whose turn is next first.
        admitted: The runs of the status that hold a slot.
        limits: Those of the status.
        rates: What its rates count.
        now: The time by the store's clock, in milliseconds since 1970.
        most: The most runs to choose.
        per_key: The most runs of one key that were read.
    """
    slots = inf if limits.concurrency is None else max(limits.concurrency - admitted, 0)
    left = min(slots, rates.room(WHOLE, limits.rate, now), most)
    rooms = [_room(each, limits, rates, now) for each in found]
    turns: list[Turn] = []
    level, is_done = 0, False
    while not is_done and len(turns) < left:
        is_done = True
        for each, allowed in zip(found, rooms, strict=True):
            if level < min(allowed, len(each.parked)) and len(turns) < left:
                turns.append(Turn(each.parked[level].run_id, each.key))
                is_done = False
        level += 1
    is_cut = len(turns) == most or (
        len(turns) < left
        and any(len(each.parked) == per_key < room for each, room in zip(found, rooms, strict=True))
    )
    return Choice(tuple(turns), is_cut)


def retry_at(found: Sequence[ParkedKey], limits: FlowLimits, rates: Rates, now: int) -> int | None:
    """Return when a rate allows further runs, after a choice. None: no rate delays runs.

    Args:
        found: All keys, with the runs that were parked before the choice.
        limits: Those of the status.
        rates: What its rates count, the choice included.
        now: The time of the choice.
    """
    waits: list[int] = []
    waiting = [each for each in found if each.parked]
    if waiting and limits.rate is not None and not rates.room(WHOLE, limits.rate, now):
        waits.append(rates.next_at(WHOLE, limits.rate, now))
    if (rate := limits.rate_per_key) is not None:
        names = [digest_of(each.key) for each in waiting]
        waits += [
            rates.next_at(name, rate, now) for name in names if not rates.room(name, rate, now)
        ]
    return min(waits, default=None)


def _room(key: ParkedKey, limits: FlowLimits, rates: Rates, now: int) -> float:
    """Return how many runs the limits per key allow."""
    most = limits.concurrency_per_key
    slots = inf if most is None else max(most - key.admitted, 0)
    rate = limits.rate_per_key
    return slots if rate is None else min(slots, rates.room(digest_of(key.key), rate, now))
