"""The number of attempts that may begin before the next commit of a row."""

from workflow_ray.engine.pace import AHEAD, LEAST, Pace


def test_at_first_as_many_may_begin_as_can_at_once() -> None:
    assert Pace().reach(free=100) == 100


def test_few_slow_steps_may_begin_beyond_the_running_ones() -> None:
    pace = Pace()
    pace.note(ended=1)
    assert pace.reach(free=0) == LEAST


def test_more_quick_steps_may_begin_than_end_within_two_groups() -> None:
    pace = Pace()
    pace.note(ended=500)
    assert pace.reach(free=0) == AHEAD * 500 > 2 * 500


def test_one_small_group_does_not_slow_the_pace_down() -> None:
    pace = Pace()
    for ended in (500, 1):
        pace.note(ended)
    assert pace.reach(free=0) >= 2 * 500


def test_the_pace_slows_down_when_steps_do() -> None:
    pace = Pace()
    pace.note(ended=500)
    for _ in range(10):
        pace.note(ended=0)
    assert pace.reach(free=0) == LEAST
