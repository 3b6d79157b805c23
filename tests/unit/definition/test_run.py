"""The run that a step gets."""

import pytest
from pydantic import BaseModel

from workflow_ray.definition import Run, Status
from workflow_ray.records import RunState


class At(Status):
    START = 1


class Person(BaseModel):
    name: str


def test_data_and_status_are_enough_to_test_a_step() -> None:
    run = Run(Person(name="Ada"), At.START)
    assert (run.run_state, run.version, run.visit, run.attempt) == (RunState.RUNNING, 1, 1, 0)
    assert run.created_at == run.updated_at
    assert run.run_id != Run(Person(name="Ada"), At.START).run_id


def test_the_idempotency_key_is_the_run_and_its_visit() -> None:
    assert (
        Run(Person(name="Ada"), At.START, run_id="r", visit=7, attempt=2).idempotency_key == "r:7"
    )


def test_only_the_data_can_be_assigned() -> None:
    run = Run(Person(name="Ada"), At.START)
    run.data = Person(name="Grace")
    for name in [name for name in dir(run) if not name.startswith("_") and name != "data"]:
        with pytest.raises(AttributeError):
            setattr(run, name, None)


def test_the_repr_of_a_run_does_not_show_the_data() -> None:
    shown = repr(Run(Person(name="Ada"), At.START, foreign_id="order-42"))
    assert "Ada" not in shown
    assert "order-42" in shown
