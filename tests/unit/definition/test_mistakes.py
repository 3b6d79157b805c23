"""The mistakes of a definition are reported together, each with its place and a way out."""

import inspect
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, Literal, cast

import pytest
from pydantic import BaseModel

from workflow_ray.definition import Cancel, Graph, Run, Status, Step, Workflow, resource
from workflow_ray.errors import InvalidDefinition


class Light(Status):
    RED = 1
    GREEN = 2
    DARK = 3


class Other(Status):
    X = 1


class Lamp(BaseModel):
    hours: int = 0


class Tool: ...


@resource
async def tool() -> AsyncIterator[Tool]:
    yield Tool()


def untyped(value: object) -> Any:
    """Hide the type: these tests are for users without a type checker."""
    return value


def mistakes_of(workflow: Workflow[Any, Any]) -> list[str]:
    with pytest.raises(InvalidDefinition) as raised:
        workflow.checked()
    return raised.value.mistakes


def the_mistake_of(workflow: Workflow[Any, Any]) -> str:
    (mistake,) = mistakes_of(workflow)
    assert re.fullmatch(re.escape(__file__) + r":\d+: [^\n]+; [^\n]+", mistake), (
        "place: what is wrong; way out"
    )
    return mistake


def lamps(**options: Any) -> Workflow[Lamp, Light]:
    """Make a workflow with a step at its first status. Each test adds the rest."""
    workflow = Workflow("lamps", Lamp, Light, **options)

    @workflow.step(Light.RED)
    async def turn_green(run: Run[Lamp, Light]) -> Literal[Light.GREEN, Light.DARK]:
        return Light.GREEN

    return workflow


def of_green(function: object, **options: Any) -> Workflow[Lamp, Light]:
    workflow = lamps()
    workflow.step(Light.GREEN, **options)(untyped(function))
    return workflow


async def go_dark(run: Run[Lamp, Light]) -> Literal[Light.DARK]:
    return Light.DARK


def test_a_correct_definition_has_no_mistakes() -> None:
    workflow = of_green(go_dark)
    graph = workflow.checked()
    assert graph is workflow.checked()
    assert isinstance(graph, Graph)


# --- the workflow -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["orders", "model-training", "Orders.v2", "a_b", "7", "x" * 100])
def test_a_name_that_topics_and_roles_can_hold_is_accepted(name: str) -> None:
    workflow = Workflow(name, Lamp, Other)
    assert workflow.checked().steps == ()


@pytest.mark.parametrize(
    "name", ["", "two words", "a/b", "-a", ".", "naïve", "line\n", "x" * 101, 3]
)
def test_another_name_is_refused(name: Any) -> None:
    assert "can't be part of a role or topic" in the_mistake_of(Workflow(name, Lamp, Other))


def test_data_is_a_pydantic_model() -> None:
    assert "is not a pydantic model" in the_mistake_of(Workflow("w", untyped(dict), Other))


def test_there_is_at_least_one_partition() -> None:
    assert "partitions=0" in the_mistake_of(Workflow("w", Lamp, Other, partitions=0))


def test_the_start_is_one_of_the_statuses() -> None:
    assert "start=Other.X is not a status of Light" in the_mistake_of(
        Workflow("w", Lamp, Light, start=untyped(Other.X))
    )


def test_statuses_are_an_enum_with_members() -> None:
    class Empty(Status):
        pass

    assert "not an enum of statuses" in the_mistake_of(Workflow("w", Lamp, Empty))
    assert "not an enum of statuses" in the_mistake_of(Workflow("w", Lamp, untyped(int)))


def test_no_two_statuses_share_a_number() -> None:
    class Twice(Status):
        A = 1
        B = 1

    assert "Twice.B has the number of Twice.A" in the_mistake_of(Workflow("w", Lamp, Twice))


@pytest.mark.parametrize("number", [0, -1, True, "1", 1.5, 2**31])
def test_a_statuss_number_is_an_int_from_1_up(number: object) -> None:
    made = untyped(Status)("Made", {"A": number})
    assert "is not a whole number from 1 to 2147483647" in the_mistake_of(Workflow("w", Lamp, made))


# --- the graph ----------------------------------------------------------------------------------


def test_every_status_is_reachable_from_the_start() -> None:
    workflow = Workflow("lamps", Lamp, Light, start=Light.RED)

    @workflow.step(Light.RED)
    async def turn_green(run: Run[Lamp, Light]) -> Literal[Light.GREEN]:
        return Light.GREEN

    assert "nothing leads from the start, Light.RED, to Light.DARK" in the_mistake_of(workflow)


@pytest.mark.parametrize("entry", [Light.DARK, [Light.DARK], {Light.DARK}])
def test_an_entry_status_need_not_be_reachable(
    entry: Light | list[Light] | set[Light],
) -> None:
    workflow = Workflow("lamps", Lamp, Light, entry=entry)

    @workflow.step(Light.RED)
    async def turn_green(run: Run[Lamp, Light]) -> Literal[Light.GREEN]:
        return Light.GREEN

    assert workflow.checked().is_terminal(Light.DARK)


def test_statuses_after_an_entry_are_reachable() -> None:
    workflow = Workflow("lamps", Lamp, Light, entry=Light.DARK)

    @workflow.step(Light.DARK)
    async def turn_green(run: Run[Lamp, Light]) -> Literal[Light.GREEN]:
        return Light.GREEN

    assert workflow.checked().reaches(Light.DARK, Light.GREEN)


def test_an_entry_is_a_status_of_the_workflow() -> None:
    assert "entry has <Other.X: 1>, which is not a status of Light" in the_mistake_of(
        lamps(entry=[Other.X])
    )


def test_on_failure_leads_to_its_status() -> None:
    workflow = Workflow("lamps", Lamp, Light)

    @workflow.step(Light.RED, on_failure=Light.DARK)
    async def turn_green(run: Run[Lamp, Light]) -> Literal[Light.GREEN]:
        return Light.GREEN

    assert workflow.checked().targets(Light.RED) == {Light.GREEN, Light.DARK}


def test_a_status_has_one_step_and_the_mistake_names_both_places() -> None:
    workflow = lamps()
    workflow.step(Light.GREEN)(go_dark)
    workflow.step(Light.GREEN)(go_dark)
    line = inspect.currentframe().f_lineno  # type: ignore[union-attr]  # CPython has frames
    mistake = the_mistake_of(workflow)
    assert mistake.startswith(f"{__file__}:{line - 1}: ")
    assert f"{__file__}:{line - 2}" in mistake


# --- a step's options ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"shards": 0}, "can't have shards=0; use 1 to 16"),
        ({"shards": 17}, "can't have shards=17; use 1 to 16"),
        ({"max_in_flight": 0}, "can't have max_in_flight=0"),
        ({"on_failure": Light.GREEN}, "goes round for ever"),
        ({"on_failure": Other.X}, "on_failure=Other.X, which is not a status of this workflow"),
        ({"retry": 3}, "retry=3; use Retry(...)"),
    ],
)
def test_an_option_out_of_its_range_is_refused(options: dict[str, Any], says: str) -> None:
    assert says in the_mistake_of(of_green(go_dark, **options))


def test_a_step_stands_at_a_status_of_its_workflow() -> None:
    workflow = lamps()
    workflow.step(untyped(Other.X))(go_dark)
    assert "is declared for Other.X, which is not a status of this workflow" in the_mistake_of(
        workflow
    )


# --- a step's function --------------------------------------------------------------------------


async def unannotated(run: Run[Lamp, Light]):  # type: ignore[no-untyped-def]  # the mistake
    return Light.DARK


async def to_anything(run: Run[Lamp, Light]) -> Light:
    return Light.DARK


async def to_another_workflow(run: Run[Lamp, Light]) -> Literal[Other.X] | Cancel:
    return Other.X


async def to_nothing(run: Run[Lamp, Light]) -> Literal[Light.DARK] | None:
    return None


async def to_an_unknown_name(run: Run[Lamp, Light]) -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821  the mistake
    return Light.DARK


async def with_a_parameter(run: Run[Lamp, Light], hours: int = 3) -> Literal[Light.DARK]:
    return Light.DARK


async def with_the_resource_itself(run: Run[Lamp, Light], it: object = tool) -> Literal[Light.DARK]:
    return Light.DARK


async def with_any_parameters(run: Run[Lamp, Light], *args: object) -> Literal[Light.DARK]:
    return Light.DARK


async def without_run() -> Literal[Light.DARK]:
    return Light.DARK


async def without_run_but_a_resource(it: Tool = tool.value) -> Literal[Light.DARK]:
    return Light.DARK


def yielding(run: Run[Lamp, Light]) -> Iterator[Literal[Light.DARK]]:
    yield Light.DARK


async def yielding_too(run: Run[Lamp, Light]) -> AsyncIterator[Literal[Light.DARK]]:
    yield Light.DARK


REFUSED: list[tuple[object, str]] = [
    (unannotated, "has no return annotation; annotate `-> Literal[Light.DARK]`"),
    (to_anything, "may return Light, which is neither"),
    (to_another_workflow, "may return Other.X, which is neither a status of Light nor a halt"),
    (to_nothing, "may return None, which is not a result"),
    (to_an_unknown_name, "can't be read: name 'Nowhere' is not defined; define or import the name"),
    (with_a_parameter, "has a parameter 'hours: int = 3' beyond the run that is not a resource"),
    (
        with_the_resource_itself,
        "has a parameter 'it: object = <resource tool>' beyond the run that is not a resource",
    ),
    (with_any_parameters, "has a parameter '*args: object' beyond the run"),
    (without_run, "doesn't take the run"),
    (without_run_but_a_resource, "doesn't take the run"),
    (yielding, "is a generator"),
    (yielding_too, "is a generator"),
    (print, "is not a function"),
]


@pytest.mark.parametrize(("function", "says"), REFUSED)
def test_a_function_that_can_not_be_a_step_is_refused(function: object, says: str) -> None:
    mistake = the_mistake_of(of_green(function))
    assert says in mistake
    assert f"step {getattr(function, '__qualname__', '')}" in mistake


# --- together -----------------------------------------------------------------------------------


def test_all_mistakes_are_reported_at_once() -> None:
    workflow = Workflow("two words", Lamp, Light, partitions=0)
    workflow.step(Light.RED, max_in_flight=0)(untyped(without_run))
    workflow.step(Light.RED)(untyped(to_nothing))
    mistakes = mistakes_of(workflow)
    expected = [
        "can't be part",
        "partitions=0",
        "max_in_flight",
        "doesn't take the run",
        "may return None",
        "one too many",
    ]
    for says in expected:
        assert any(says in mistake for mistake in mistakes), says
    assert len(mistakes) == len(expected)


def test_a_corrected_mistake_is_not_reported_again() -> None:
    workflow = Workflow("lamps", Lamp, Light)
    assert len(mistakes_of(workflow)) == 2

    @workflow.step(Light.RED)
    async def turn_on(run: Run[Lamp, Light]) -> Literal[Light.GREEN, Light.DARK]:
        return Light.GREEN

    (step,) = workflow.checked().steps
    assert isinstance(step, Step)
    assert cast(object, step.function) is turn_on


def test_a_step_declared_after_the_check_is_refused_at_once() -> None:
    workflow = lamps()
    workflow.checked()
    with pytest.raises(
        InvalidDefinition, match="step go_dark comes after the workflow was put to use"
    ):
        workflow.step(Light.GREEN)(go_dark)


@pytest.mark.parametrize(
    ("timeout", "why"),
    [
        (0, "an attempt needs some time"),
        (-1, "it is from 0 seconds to 100 years"),
        (True, "give seconds or a timedelta, not bool"),
        ("5s", "give seconds or a timedelta, not str"),
        (float("nan"), "it is from 0 seconds to 100 years"),
        (timedelta.max, "it is from 0 seconds to 100 years"),
    ],
)
def test_a_time_limit_is_longer_than_zero(timeout: object, why: str) -> None:
    workflow = Workflow("lamps", Lamp, Light)

    @workflow.step(Light.RED, timeout=untyped(timeout))
    async def turn_green(run: Run[Lamp, Light]) -> Literal[Light.GREEN, Light.DARK]:
        return Light.GREEN

    (mistake,) = mistakes_of(workflow)
    assert f"can't have timeout={timeout!r}: {why}" in mistake


@pytest.mark.parametrize("timeout", [1, 0.5, timedelta(minutes=1)])
def test_a_time_limit_is_seconds_or_a_timedelta(timeout: float | timedelta) -> None:
    workflow = Workflow("lamps", Lamp, Light)

    @workflow.step(Light.RED, timeout=timeout)
    async def turn_green(run: Run[Lamp, Light]) -> Literal[Light.GREEN, Light.DARK]:
        return Light.GREEN

    (step,) = workflow.checked().steps
    assert step.timeout == (timeout.total_seconds() if isinstance(timeout, timedelta) else timeout)
