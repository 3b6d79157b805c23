"""Cases of a RecordStore's times: UTC to the microsecond, whatever zone a process or query uses."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from workflow_ray.ports import Records
from workflow_ray.records import RunQuery
from workflow_ray.testing.clock import FakeClock
from workflow_ray.testing.conformance.base import Conformance
from workflow_ray.testing.conformance.runs import acquire, event, new_run, step, store_all, stored

CENTRAL_EUROPE = "CET-1CEST,M3.5.0,M10.5.0/3"
# Daylight saving time begins and ends in central Europe; at its end an hour comes twice.
CLOCK_CHANGES = {
    "spring": datetime(2030, 3, 31, 0, 30, 0, 123_457, tzinfo=UTC),
    "autumn": datetime(2030, 10, 26, 23, 30, 0, 999_999, tzinfo=UTC),
}
ZONES = [
    UTC,
    timezone(timedelta(hours=5, minutes=45)),
    timezone(timedelta(hours=-11)),
    timezone(timedelta(hours=14)),
]
HALF_AN_HOUR = timedelta(minutes=30)


class TimeCases(Conformance):
    @pytest.fixture
    def local_zone(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """Set the zone of the process to one with daylight saving time."""
        with monkeypatch.context() as patch:
            patch.setenv("TZ", CENTRAL_EUROPE)
            time.tzset()
            yield
        time.tzset()

    @pytest.mark.parametrize("begin", CLOCK_CHANGES.values(), ids=CLOCK_CHANGES.keys())
    async def test_times_are_read_from_the_clock_in_utc_to_the_microsecond(
        self, local_zone: None, store: Records, clock: FakeClock, begin: datetime
    ) -> None:
        clock.jump(begin)
        for _ in range(6):
            created_at, run = clock.now(), new_run()
            await store_all(store, run)
            await clock.advance(HALF_AN_HOUR)
            await store_all(store, step(run))
            record, history = await stored(store, run.run_id), await store.history(run.run_id)
            assert (record.created_at, record.updated_at) == (created_at, clock.now())
            assert [entry.at for entry in history] == [created_at, clock.now()]
            assert {
                at.utcoffset()
                for at in (record.created_at, record.updated_at, *(entry.at for entry in history))
            } == {timedelta(0)}

    @pytest.mark.parametrize("begin", CLOCK_CHANGES.values(), ids=CLOCK_CHANGES.keys())
    async def test_a_query_may_give_its_times_in_any_zone(
        self, local_zone: None, store: Records, clock: FakeClock, begin: datetime
    ) -> None:
        clock.jump(begin)
        runs = [new_run() for _ in range(6)]
        times = list[datetime]()
        for run in runs:
            times.append(clock.now())
            await store_all(store, run)
            await clock.advance(HALF_AN_HOUR)
        for at, run in enumerate(runs):
            for zone in (*ZONES, None):  # None: the zone of the process
                moment = times[at].astimezone(zone)
                query = RunQuery(
                    workflow="orders",
                    created_from=moment,
                    created_before=moment + timedelta(microseconds=1),
                )
                assert [record.run_id for record in await store.runs(query)] == [run.run_id]

    @pytest.mark.parametrize("begin", CLOCK_CHANGES.values(), ids=CLOCK_CHANGES.keys())
    async def test_a_delay_keeps_its_length_when_daylight_saving_begins_or_ends(
        self, local_zone: None, store: Records, clock: FakeClock, begin: datetime
    ) -> None:
        clock.jump(begin)
        fence = await acquire(store)
        await store_all(store, new_run(events=[event(delay=7200)]))
        await clock.advance(timedelta(seconds=7200, microseconds=-1))
        assert await store.pending(fence, limit=10, wait=0) == []
        await clock.advance(timedelta(microseconds=1))
        (entry,) = await store.pending(fence, limit=10, wait=0)
        assert entry.due_at == begin + timedelta(hours=2)
