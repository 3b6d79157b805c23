"""Names that annotations use before they are defined are resolved when the workflow is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import pytest
from pydantic import BaseModel

from workflow_ray import Cancel, Run, Runtime, Status, Workflow
from workflow_ray.errors import InvalidDefinition
from workflow_ray.testing import WorkflowTester

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")


class At(Status):
    NEW = 1
    DONE = 2


class Before(BaseModel):
    """Names a model that its module defines later."""

    after: After


class AroundBefore(BaseModel):
    inner: Before
    others: dict[str, list[After]] = {}


class Tree(BaseModel):
    children: list[Tree] = []


class Ping(BaseModel):
    pong: Pong | None = None


class Pong(BaseModel):
    ping: Ping | None = None


class Box(BaseModel, Generic[T]):
    inside: T
    before: Before


class Priced(BaseModel):
    price: Decimal


class AroundPriced(BaseModel):
    inner: list[Priced] = []


class Lost(BaseModel):
    never: Nowhere  # type: ignore[name-defined]  # noqa: F821  it is the test


class After(BaseModel):
    number: int = 0


def workflow_of(data: Any) -> Workflow[Any, At]:
    workflow: Workflow[Any, At] = Workflow("late", data, At)

    @workflow.step(At.NEW)
    async def finish(run: Run[Any, At]) -> Literal[At.DONE]:
        return At.DONE

    return workflow


def the_mistake_of(workflow: Workflow[Any, Any]) -> str:
    with pytest.raises(InvalidDefinition) as raised:
        workflow.checked()
    (mistake,) = raised.value.mistakes
    return mistake


async def data_after_a_run(workflow: Workflow[Any, At], data: Any) -> Any:
    async with WorkflowTester(workflow) as tester:
        handle = await tester.client(workflow).trigger("1", data)
        return (await handle.wait()).data


# --- data models --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        lambda: Before(after=After(number=1)),
        lambda: AroundBefore(inner=Before(after=After()), others={"a": [After()]}),
        lambda: Tree(children=[Tree(children=[Tree()])]),
        lambda: Ping(pong=Pong(ping=Ping())),
        lambda: Box[After](inside=After(), before=Before(after=After())),
        lambda: Box[list[Tree]](inside=[Tree()], before=Before(after=After())),
    ],
)
async def test_a_model_may_name_what_its_module_defines_later(data: Any) -> None:
    made = data()
    workflow = workflow_of(type(made))
    assert await data_after_a_run(workflow, made) == made


async def test_the_place_where_the_workflow_is_made_gives_the_names_of_its_function() -> None:
    class Order(BaseModel):
        lines: list[Line]

    class Around(BaseModel):
        order: Order

    class Line(BaseModel):
        number: int

    workflow = Workflow("late", Around, At)

    @workflow.step(At.NEW)
    async def finish(run: Run[Around, At]) -> Literal[At.DONE]:
        return At.DONE

    workflow.checked()
    data = Around(order=Order(lines=[Line(number=1)]))
    assert await data_after_a_run(workflow, data) == data


async def test_what_a_function_defines_after_the_workflow_is_known_to_its_steps() -> None:
    class Order(BaseModel):
        lines: list[Line]

    workflow = Workflow("late", Order, At)

    class Line(BaseModel):
        number: int

    @workflow.step(At.NEW)
    async def finish(run: Run[Order, At]) -> Literal[At.DONE]:
        return At.DONE

    workflow.checked()
    data = Order(lines=[Line(number=1)])
    assert await data_after_a_run(workflow, data) == data


@pytest.mark.parametrize(
    ("data", "name"), [(Priced, "Decimal"), (AroundPriced, "Decimal"), (Lost, "Nowhere")]
)
def test_a_name_that_is_not_known_at_run_time_is_one_mistake_with_a_way_out(
    data: Any, name: str
) -> None:
    mistake = the_mistake_of(workflow_of(data))
    assert f"the data model {data.__name__} has fields that can't be read: name '{name}'" in mistake
    assert "define or import it" in mistake
    assert f"{data.__name__}.model_rebuild()" in mistake


def test_the_way_out_leads_out() -> None:
    class Order(BaseModel):
        price: Decimal

    workflow = workflow_of(Order)
    assert "Order.model_rebuild()" in the_mistake_of(workflow)
    with pytest.raises(InvalidDefinition):
        workflow.checked()
    from decimal import Decimal as Known

    Order.model_rebuild(_types_namespace={"Decimal": Known})
    workflow.checked()


def test_a_type_that_pydantic_can_not_handle_is_one_mistake() -> None:
    class Order(BaseModel):
        handler: Handler

    class Handler: ...

    workflow = Workflow("late", Order, At, entry=At.DONE)
    assert "the data model Order can't be built by pydantic" in the_mistake_of(workflow)


@pytest.mark.parametrize("data", [Priced, Lost])
async def test_a_runtime_refuses_it_when_it_starts_not_at_the_first_trigger(data: Any) -> None:
    with pytest.raises(InvalidDefinition, match="has fields that can't be read"):
        async with WorkflowTester(workflow_of(data)):
            pass
    with pytest.raises(InvalidDefinition, match="has fields that can't be read"):
        async with Runtime.local(workflow_of(data), records="memory://late"):
            pass


# --- steps --------------------------------------------------------------------------------------


def test_a_steps_annotation_may_name_what_its_module_defines_later() -> None:
    workflow = Workflow("late", After, At)

    @workflow.step(At.NEW)
    async def finish(run: Run[After, At]) -> Literal[At.DONE] | Halts:
        return At.DONE

    (step,) = workflow.checked().steps
    assert step.halts == {Cancel}


def test_a_result_that_is_not_known_at_run_time_is_one_mistake_with_a_way_out() -> None:
    workflow = Workflow("late", After, At)

    @workflow.step(At.NEW)  # type: ignore[arg-type]  # it is not a halt
    async def finish(run: Run[After, At]) -> Literal[At.DONE] | Decimal:
        return At.DONE

    mistake = the_mistake_of(workflow)
    assert "can't be read: name 'Decimal' is not defined" in mistake
    assert "define or import the name before the step, not only under TYPE_CHECKING" in mistake


def test_only_the_results_of_a_step_need_be_known_at_run_time() -> None:
    workflow = Workflow("late", After, At)

    @workflow.step(At.NEW)
    async def finish(run: Nowhere) -> Literal[At.DONE]:  # type: ignore[name-defined]  # noqa: F821  it is the test
        return At.DONE

    assert workflow.checked().targets(At.NEW) == {At.DONE}


Halts = Cancel
