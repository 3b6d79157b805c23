"""Which runs of a page are old enough, and when to look again."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from tests.unit.parcels import record
from workflow_ray import Retention, RunState
from workflow_ray.engine.retention import (
    DAY,
    EPOCH,
    FINISHED,
    MINUTE,
    Decided,
    Rule,
    decide_page,
    rules_of,
)
from workflow_ray.records import Record, Removal, RunId, run_id_at

NOW = datetime(2030, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
WHOLE = Rule("completed", (RunState.COMPLETED,), 3600.0, is_whole=True)
HISTORY = Rule("history", FINISHED, 3600.0, is_whole=False)


def ended(created: timedelta, updated: timedelta, **changes: Any) -> Record:
    """A completed run that was created and last written so long before now."""
    run = record(run_state=RunState.COMPLETED, **changes)
    at = NOW - created
    return replace(run, run_id=run_id_at(at), created_at=at, updated_at=NOW - updated)


def decided(
    rule: Rule, *page: Record, since: datetime = EPOCH, seen: RunId = run_id_at(NOW)
) -> Decided:
    return decide_page(rule, page, NOW, since, seen)


def test_a_run_is_old_when_its_last_version_is() -> None:
    old, young = ended(3 * HOUR, 2 * HOUR), ended(3 * HOUR, HOUR / 2)
    assert decided(WHOLE, old, young).old == (old.run_id,)


def test_a_run_is_not_old_at_its_age_but_after_it() -> None:
    assert decided(WHOLE, ended(2 * HOUR, HOUR)).old == ()
    after = ended(2 * HOUR, HOUR + timedelta(microseconds=1))
    assert decided(WHOLE, after).old == (after.run_id,)


def test_runs_that_were_created_too_late_end_the_look_and_say_when_to_look_again() -> None:
    old, young = ended(3 * HOUR, 2 * HOUR), ended(HOUR / 4, HOUR / 4)
    found = decided(WHOLE, old, young)
    assert (found.after, found.reached) == (None, old.run_id)
    assert found.next_at == young.created_at + HOUR


def test_a_page_of_old_runs_is_followed_by_another_one() -> None:
    page = [ended(3 * HOUR, 2 * HOUR), ended(2 * HOUR, HOUR / 2)]
    found = decided(WHOLE, *page)
    assert (found.after, found.reached, found.next_at) == (page[1].run_id, page[1].run_id, None)


def test_a_history_of_one_version_has_nothing_to_remove() -> None:
    assert decided(HISTORY, ended(3 * HOUR, 2 * HOUR, version=1)).old == ()
    several = ended(3 * HOUR, 2 * HOUR, version=4)
    assert decided(HISTORY, several).old == (several.run_id,)


def test_a_history_that_an_earlier_look_has_removed_is_left_out() -> None:
    done = ended(9 * HOUR, 5 * HOUR, version=4)
    since = NOW - 4 * HOUR
    assert decided(HISTORY, done, since=since).old == ()
    assert decided(WHOLE, done, since=since).old == (done.run_id,)


def test_a_history_that_an_earlier_look_has_not_met_is_removed() -> None:
    """It ended at a run that a client made whose clock is late."""
    late = replace(ended(HOUR / 4, HOUR / 4), run_id=run_id_at(NOW - 10 * HOUR))
    old = ended(9 * HOUR, 5 * HOUR, version=4)
    assert decided(HISTORY, late).after is None
    assert decided(HISTORY, old, since=NOW - HOUR, seen=late.run_id).old == (old.run_id,)


def test_all_runs_are_found_by_looks_that_go_on_where_the_last_one_has_ended() -> None:
    """A look that begins where the last one ended misses only runs that have ended late."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    left = sorted(
        (
            ended(timedelta(seconds=created), timedelta(seconds=chance.uniform(0, created)))
            for created in (chance.uniform(0, 14_400) for _ in range(200))
        ),
        key=lambda run: run.run_id,
    )
    removed, after, now = set[RunId](), RunId(""), NOW
    for _ in range(10):
        now += HOUR / 2
        found = decide_page(WHOLE, [run for run in left if run.run_id > after], now, EPOCH)
        removed |= set(found.old)
        after = found.reached or after
    before = WHOLE.before(now)
    missed = [run for run in left if run.run_id not in removed and run.updated_at < before]
    assert all(run.updated_at > run.created_at for run in missed)
    assert {run.run_id for run in left if run.updated_at < NOW - HOUR} >= set(
        decide_page(WHOLE, left, NOW, EPOCH).old
    )
    sweep = decide_page(WHOLE, left, now, EPOCH)
    assert {run.run_id for run in missed} <= set(sweep.old)


def test_each_field_of_retention_is_a_rule() -> None:
    kept = Retention(
        completed=timedelta(days=30), data_deleted=3600, history=timedelta(days=7), keys=5
    )
    assert rules_of(kept) == (
        Rule("completed", (RunState.COMPLETED,), 30 * DAY, is_whole=True),
        Rule("data_deleted", (RunState.DATA_DELETED,), 3600.0, is_whole=True),
        Rule("history", FINISHED, 7 * DAY, is_whole=False),
    )
    assert not kept.is_empty()
    assert Retention().is_empty()
    assert rules_of(Retention()) == ()


def test_a_rule_removes_runs_whole_or_their_history() -> None:
    run_id = run_id_at(NOW)
    assert WHOLE.removal("w", [run_id]) == Removal(workflow="w", runs=(run_id,))
    assert HISTORY.removal("w", [run_id]) == Removal(workflow="w", histories=(run_id,))


def test_looks_are_as_frequent_as_the_age_needs() -> None:
    a_month, a_minute = (Rule("completed", (), age, is_whole=True) for age in (30 * DAY, MINUTE))
    assert (a_month.every, a_month.sweeps) == (10 * MINUTE, DAY)
    assert (a_minute.every, a_minute.sweeps) == (1.0, MINUTE)


def test_an_age_that_begins_before_1970_is_one_that_nothing_has_reached() -> None:
    century = Rule("completed", (), 100 * 365 * DAY, is_whole=True)
    assert century.before(NOW) == EPOCH
