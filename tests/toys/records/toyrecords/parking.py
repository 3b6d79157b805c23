"""The runs that flow control orders."""

import zlib
from collections.abc import Iterable
from datetime import datetime

import msgspec

from toyrecords.state import State
from workflow_ray.records import Parked, ParkedKey, ParkedQuery, ParkedRun, Parking, Record


def parked(state: State, query: ParkedQuery, now: datetime) -> Parked:
    ordered = sorted(_ordered(state.records.values(), query), key=_order)
    keys = sorted({_parking(record).key for record in ordered})
    left = [key for key in keys if query.after is None or key > query.after]
    places = [(_parking(record), record.run_id, record.parked) for record in ordered]
    return Parked(
        keys=tuple(_of_key(ordered, key, query.per_key) for key in left[: query.keys]),
        admitted=sum(not record.parked for record in ordered),
        more=len(left) > query.keys,
        # it changes with the state that it stands for
        change=zlib.crc32(msgspec.json.encode(places)) if places else 0,
        now=now,
    )


def _ordered(records: Iterable[Record], query: ParkedQuery) -> list[Record]:
    return [
        record
        for record in records
        if (record.workflow, record.status) == (query.workflow, query.status)
        and record.parking is not None
        and not record.run_state.at_rest
    ]


def _of_key(ordered: Iterable[Record], key: str, limit: int) -> ParkedKey:
    runs = [record for record in ordered if _parking(record).key == key]
    parked_runs = [
        ParkedRun(run_id=record.run_id, priority=_parking(record).priority)
        for record in runs
        if record.parked
    ]
    return ParkedKey(
        key=key, admitted=len(runs) - len(parked_runs), parked=tuple(parked_runs[:limit])
    )


def _parking(record: Record) -> Parking:
    assert record.parking is not None, "only these are ordered"
    return record.parking


def _order(record: Record) -> tuple[int, str]:
    return -_parking(record).priority, record.run_id
