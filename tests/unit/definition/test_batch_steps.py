"""What a definition reads from a batch step, and the mistakes that it finds in one."""

from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.unit.definition.spoiled import SOURCE, Mistake
from tests.unit.definition.test_one_mistake import (
    annotate,
    mended,
    mistakes_of,
    replaced,
    the_mistake_of,
)
from workflow_ray import Cancel, Pause, RayOptions, Status, Workflow
from workflow_ray.definition import BatchStep
from workflow_ray.errors import InvalidInput

BATCHED = SOURCE.replace(
    """@orders.step(At.PACKED, max_in_flight=10, timeout=5)
def send(run: Run[Order, At]) -> Literal[At.SENT, At.NEW]:
    return At.SENT
""",
    """@orders.batch_step(At.PACKED, max_batch=8, max_wait=0.1, max_batches=2, timeout=5, ray=None)
def send(runs: list[Run[Order, At]]) -> list[Literal[At.SENT, At.NEW] | Exception]:
    return [At.SENT for _ in runs]
""",
)
ARGUMENTS = [
    Mistake("max_batch=8", "max_batch=0", "can't have max_batch=0; use a whole number from 1"),
    Mistake("max_batch=8", "max_batch=501", "can't have max_batch=501"),
    Mistake("max_batch=8", "max_batch=True", "can't have max_batch=True"),
    Mistake("max_wait=0.1", "max_wait=-1", "can't have max_wait=-1"),
    Mistake("max_wait=0.1", 'max_wait="20 ms"', "can't have max_wait='20 ms'"),
    Mistake("max_batches=2", "max_batches=0.5", "can't have max_batches=0.5"),
    Mistake("max_batches=2", "max_batches=65", "can't have max_batches=65"),
    Mistake("timeout=5", "timeout=0", "can't have timeout=0"),
    Mistake("ray=None", "ray=1", "can't have ray=1; use RayOptions(...)"),
    Mistake("ray=None", "flow=5", "can't have flow=5; use FlowControl(...)"),
    Mistake("ray=None", "breaker=1", "can't have breaker=1; use Breaker(...)"),
    Mistake("ray=None", "shards=17", "shards=17"),
    Mistake("ray=None", "retry=3", "retry=3"),
    Mistake("ray=None", "on_failure=Other.X", "on_failure=Other.X"),
    Mistake("batch_step(At.PACKED", "batch_step(Other.X", "is declared for Other.X"),
    Mistake("batch_step(At.PACKED", "batch_step(At.PAID", "At.PAID has the step pack at"),
    Mistake("@orders.batch_step(", "orders.batch_step(", "a batch step of At.PACKED has no"),
    Mistake("runs: list[Run[Order, At]]", "", "doesn't take the list of runs"),
    Mistake("runs: list[Run[Order, At]]", "run: Run[Order, At]", "takes one run"),
]
ANNOTATIONS = [
    ("", "has no return annotation"),
    (" -> Literal[At.SENT, At.NEW]", "may return At.SENT and At.NEW, which is not a list of"),
    (" -> list", "may return list, which is not a list of results that are known"),
    (" -> list[At]", "may return At, which is neither"),
    (" -> list[Literal[At.SENT, At.NEW] | None]", "may return None"),
    (" -> set[Literal[At.SENT, At.NEW]]", "which is not a list"),
    (" -> list[list[Literal[At.SENT, At.NEW]]]", "which is neither"),
]


class Light(Status):
    RED = 1
    GREEN = 2


class Lamp(BaseModel):
    hours: int = 0


def read(function: Any, **options: Any) -> BatchStep[Light]:
    workflow = Workflow("lamps", Lamp, Light)
    workflow.batch_step(Light.RED, on_failure=Light.GREEN, **options)(function)
    (step,) = workflow.checked().steps
    assert isinstance(step, BatchStep)
    return step


def listed(runs: Any) -> list[Literal[Light.RED] | Cancel | Exception]:
    return []


def gathered(runs: Any) -> Awaitable[Sequence[Literal[Light.RED] | Cancel | BaseException]]:
    raise NotImplementedError


async def several(runs: Any) -> list[Literal[Light.RED]] | list[Cancel]:
    return []


@pytest.mark.parametrize("function", [listed, gathered, several])
def test_the_results_are_read_from_the_list(function: Any) -> None:
    step = read(function)
    assert step.returns == {Light.RED}
    assert step.halts == {Cancel}


def test_all_halts_of_a_step_are_halts_of_a_batch_step() -> None:
    def pausing(runs: Any) -> list[Pause | Exception]:
        return []

    assert read(pausing).halts == {Pause}


def test_it_has_the_runs_of_its_batches_in_hand_and_those_of_the_next_one() -> None:
    step = read(listed, max_batch=10, max_batches=3, timeout=2.0, ray=RayOptions(num_gpus=1))
    assert (step.max_in_flight, step.call_timeout, step.timeout) == (40, 2.0, None)
    assert step.ray == RayOptions(num_gpus=1)


def test_the_unchanged_definition_is_correct(tmp_path: Path) -> None:
    assert mistakes_of(BATCHED, tmp_path / "shop.py") == []


@pytest.mark.parametrize("mistake", ARGUMENTS, ids=lambda mistake: mistake.wrong)
def test_a_wrong_argument_is_one_message(mistake: Mistake, tmp_path: Path) -> None:
    spoiled = replaced(BATCHED, mistake.right, mistake.wrong)
    assert mistake.says in the_mistake_of(spoiled, tmp_path / "shop.py")


@pytest.mark.parametrize(("annotation", "says"), ANNOTATIONS)
def test_a_wrong_annotation_is_one_message_and_the_one_that_it_shows_is_right(
    annotation: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "shop.py"
    lines = BATCHED.splitlines()
    line = next(at for at, text in enumerate(lines, 1) if "def send(" in text)
    spoiled = annotate(BATCHED, line, annotation[1:])
    message = the_mistake_of(spoiled, path)
    assert says in message
    source = mended(spoiled, message)
    assert source is not None
    assert mistakes_of(source, path) == []


def test_without_parentheses_the_message_shows_the_call(tmp_path: Path) -> None:
    bare = BATCHED.replace(
        "@orders.batch_step(At.PACKED, max_batch=8, max_wait=0.1, max_batches=2, timeout=5,"
        " ray=None)",
        "@orders.batch_step",
    )
    message = the_mistake_of(bare, tmp_path / "shop.py")
    assert "is declared without its status; write `.batch_step(At.PACKED)`" in message


def test_all_mistakes_are_found_at_once(tmp_path: Path) -> None:
    spoiled = BATCHED.replace("max_batch=8", "max_batch=0").replace("max_wait=0.1", "max_wait=-1")
    spoiled = spoiled.replace("ray=None", "ray=1").replace(
        "list[Literal[At.SENT", "set[Literal[At.SENT"
    )
    assert len(mistakes_of(spoiled, tmp_path / "shop.py")) == 4


# --- RayOptions ---------------------------------------------------------------------------------


def test_what_a_step_asks_for_is_shown_as_it_is_written() -> None:
    options = RayOptions(num_gpus=0.5, resources={"lens": 1}, accelerator_type="A100")
    assert str(options) == "num_gpus=0.5, resources={'lens': 1}, accelerator_type='A100'"
    assert str(RayOptions()) == ""


def test_a_later_change_of_the_mapping_changes_nothing() -> None:
    amounts = {"lens": 1.0}
    options = RayOptions(resources=amounts)
    amounts["lens"] = 2.0
    assert options == RayOptions(resources={"lens": 1.0})


@pytest.mark.parametrize(
    "resources",
    [
        {"GPU": 1},
        {"CPU": 1},
        {"memory": 1},
        {"object_store_memory": 1},
        {"bundle": 1},
        {1: 1},
        {"lens": 0},
    ],
)
def test_a_wrong_resource_is_an_error_that_says_why(resources: Any) -> None:
    with pytest.raises(InvalidInput, match=r"RayOptions\(resources"):
        RayOptions(resources=resources)
