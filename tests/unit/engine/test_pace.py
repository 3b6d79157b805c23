"""How many attempts may begin before a row is committed that allows more."""

from workflow_ray.engine.pace import AHEAD, LEAST, Pace


def test_at_first_as_many_may_begin_as_can_at_once() -> None:
    assert Pace().reach(free=100) == 100


def test_of_slow_steps_few_may_begin_beyond_those_that_run() -> None:
    pace = Pace()
    pace.note(ended=1)
    assert pace.reach(free=0) == LEAST


def test_of_quick_steps_more_may_begin_than_end_within_two_groups() -> None:
    pace = Pace()
    pace.note(ended=500)
    assert pace.reach(free=0) == AHEAD * 500 > 2 * 500


def test_one_small_group_does_not_slow_the_pace_down() -> None:
    pace = Pace()
    for ended in (500, 1):
        pace.note(ended)
    assert pace.reach(free=0) >= 2 * 500


def test_where_steps_become_slow_the_pace_does_too() -> None:
    pace = Pace()
    pace.note(ended=500)
    for _ in range(10):
        pace.note(ended=0)
    assert pace.reach(free=0) == LEAST
