"""One mistake in a definition is one message, and its way out leads to a correct definition."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from workflow_ray.definition import Workflow
from workflow_ray.errors import InvalidDefinition

SOURCE = """
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

from workflow_ray import Cancel, Pause, Repeat, Retry, Run, Status, Stay, Workflow, resource


class At(Status):
    NEW = 1
    PAID = 2
    PACKED = 3
    SENT = 4
    LOST = 5
    RETURNED = 6


class Other(Status):
    X = 1
    Y = 2


class Order(BaseModel):
    total: int = 0


@resource
async def scale() -> AsyncIterator[int]:
    yield 1


def hiding(function: Any) -> Any:
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def in_a_class(function: Any) -> Any:
    return type("Made", (), {})


orders = Workflow("orders", Order, At, start=At.NEW, entry=At.RETURNED, partitions=16)


@orders.step(At.NEW)
async def pay(run: Run[Order, At]) -> Literal[At.PAID]:
    return At.PAID


@orders.step(At.PAID, on_failure=At.LOST, shards=2, retry=Retry(attempts=2))
async def pack(run: Run[Order, At], it: int = scale.value) -> Literal[At.PACKED] | Cancel:
    return At.PACKED


@orders.step(At.PACKED, max_in_flight=10, timeout=5)
def send(run: Run[Order, At]) -> Literal[At.SENT, At.NEW]:
    return At.SENT


@orders.step(At.RETURNED)
async def refund(run: Run[Order, At]) -> "Literal[At.LOST] | Pause":
    return At.LOST
"""
ANNOTATION = re.compile(r"\)( -> .*)?:$")


class Mistake(NamedTuple):
    """One change that makes the definition wrong."""

    right: str
    wrong: str
    says: str


IN_ARGUMENTS = [
    Mistake('"orders", Order', '"my orders", Order', "the name 'my orders'"),
    Mistake('"orders", Order', "7, Order", "the name 7"),
    Mistake("Order, At, start", "At, Order, start", "in each other's place"),
    Mistake("Order, At, start", "dict, At, start", "is not a pydantic model"),
    Mistake("Order, At, start", "BaseModel, At, start", "is not a pydantic model"),
    Mistake("Order, At, start", "Order, int, start", "is not an enum of statuses"),
    Mistake("Order, At, start", "Order, Status, start", "is not an enum of statuses"),
    Mistake("start=At.NEW", "start=Other.X", "start=Other.X"),
    Mistake("start=At.NEW", 'start="NEW"', "start='NEW'"),
    Mistake("entry=At.RETURNED", "entry=Other.X", "entry has <Other.X: 1>"),
    Mistake("entry=At.RETURNED", "entry=[Other.X, Other.Y]", "which are not statuses"),
    Mistake("entry=At.RETURNED", 'entry="RETURNED"', "entry has 'RETURNED'"),
    Mistake("entry=At.RETURNED", "entry=6", "entry has 6"),
    Mistake("entry=At.RETURNED", "entry=None", "entry has None"),
    Mistake("entry=At.RETURNED, ", "", "nothing leads from the start, At.NEW, to At.RETURNED"),
    Mistake("partitions=16", "partitions=0", "partitions=0"),
    Mistake("partitions=16", "partitions=10_000_000", "partitions=10000000"),
    Mistake("partitions=16", 'partitions="16"', "partitions='16'"),
    Mistake("PACKED = 3", "PACKED = 2", "At.PACKED has the number of At.PAID"),
    Mistake("PACKED = 3", 'PACKED = "3"', "At.PACKED = '3'"),
    Mistake("PACKED = 3", "PACKED = [3]", "At.PACKED = [3]"),
    Mistake("PACKED = 3", "PACKED = 2**31", "At.PACKED = 2147483648"),
    Mistake("total: int = 0", "total: 'Decimal' = 0", "name 'Decimal' is not defined"),
    Mistake("RETURNED = 6", "RETURNED = 6\n    SOLD = 7", "to At.SOLD"),
    Mistake("on_failure=At.LOST", "on_failure=Other.X", "on_failure=Other.X"),
    Mistake("on_failure=At.LOST", 'on_failure="LOST"', "on_failure='LOST'"),
    Mistake("on_failure=At.LOST", "on_failure=At.PAID", "goes round for ever"),
    Mistake("shards=2", "shards=0", "shards=0"),
    Mistake("shards=2", "shards=17", "shards=17"),
    Mistake("retry=Retry(attempts=2)", "retry=2", "retry=2"),
    Mistake("max_in_flight=10", "max_in_flight=0.5", "max_in_flight=0.5"),
    Mistake("timeout=5", 'timeout="5 s"', "timeout='5 s'"),
    Mistake("timeout=5", "timeout=0", "timeout=0"),
]
IN_STEPS = [
    Mistake("@orders.step(At.PACKED", "@orders.step(Other.X", "stands at Other.X"),
    Mistake("@orders.step(At.PACKED", '@orders.step("PACKED"', "stands at 'PACKED'"),
    Mistake("@orders.step(At.PACKED", "@orders.step(3", "stands at 3"),
    Mistake("@orders.step(At.PACKED", "@orders.step(None", "stands at None"),
    Mistake("@orders.step(At.PACKED", "@orders.step([At.PACKED]", "stands at [<At.PACKED: 3>]"),
    Mistake("@orders.step(At.PACKED", "@orders.step(At", "stands at <enum 'At'>"),
    Mistake("@orders.step(At.PACKED", "@orders.step(At.PAID", "At.PAID has the step pack at"),
    Mistake("@orders.step(At.PACKED", "orders.step(At.PACKED", "has no function"),
    Mistake("@orders.step(At.RETURNED)", "orders.step(At.RETURNED)", "has no function"),
    Mistake(
        "@orders.step(At.PACKED",
        "@orders.step(At.PACKED)\n@orders.step(At.PACKED",
        "At.PACKED has the step send at",
    ),
    Mistake("@orders.step(At.NEW)", "@orders.step", "is declared without its status"),
    Mistake("@orders.step(At.RETURNED)", "@orders.step", "is declared without its status"),
    Mistake("def send(run: Run[Order, At])", "def send()", "doesn't take the run"),
    Mistake("def send(run", "def send(*, run", "doesn't take the run"),
    Mistake("def send(run: Run[Order, At])", "def send(*args: Any)", "names no parameters"),
    Mistake("def send(run: Run[Order, At])", "def send(self, run)", "has a parameter 'run'"),
    Mistake("it: int = scale.value", "it: int", "has a parameter 'it: int'"),
    Mistake("it: int = scale.value", "it: object = scale", "has a parameter 'it: object ="),
    Mistake("return At.SENT", "yield At.SENT", "is a generator"),
    Mistake("async def pay", "@hiding\nasync def pay", "use functools.wraps in the decorator"),
    Mistake("async def pay", "@print\nasync def pay", "step None is not a function"),
    Mistake("def send(", "@in_a_class\ndef send(", "is a class"),
]
RESULTS = {"pay": "At.PAID", "pack": "At.PACKED", "send": "At.SENT, At.NEW", "refund": "At.LOST"}
IN_ANNOTATIONS = [
    ("", "has no return annotation"),
    (" -> None", "may return None, which is not a result"),
    (" -> Literal[{}] | None", "may return None, which is not a result"),
    (" -> At", "may return At, which is neither"),
    (" -> str", "may return str, which is neither"),
    (" -> Any", "may return Any, which is neither"),
    (" -> Literal[Other.X]", "may return Other.X, which is neither"),
    (" -> Literal[Other.X, Other.Y, {}] | Cancel", "may return Other.X and Other.Y, which are"),
    (" -> Literal[Other.X] | Stay | None", "may return Other.X and None, which are"),
    (' -> Literal["PAID"]', "may return 'PAID', which is neither"),
    (" -> Literal[1, 2, 3]", "may return 1 and 2 and 3, which are"),
    (" -> list[Literal[{}]]", "may return list["),
    (' -> "Literal[At.PAYED]"', "fails with AttributeError"),
    (' -> "Literal[At.PAID"', "fails with SyntaxError"),
    (' -> "Nowhere"', "name 'Nowhere' is not defined"),
    (" -> Iterator[Literal[{}]]", "may return"),
    (" -> Cancel()", "may return Cancel(reason=''), which is neither"),
]


def workflow_of(source: str, path: Path) -> Workflow[Any, Any]:
    path.write_text(source)
    module = ModuleType("made_by_a_test")
    exec(compile(source, str(path), "exec"), vars(module))  # noqa: S102  it is this test's own
    workflow: Workflow[Any, Any] = module.orders
    return workflow


def mistakes_of(source: str, path: Path) -> list[str]:
    try:
        workflow_of(source, path).checked()
    except InvalidDefinition as error:
        return error.mistakes
    return []


def the_mistake_of(source: str, path: Path) -> str:
    mistakes = mistakes_of(source, path)
    assert len(mistakes) == 1, "\n".join(mistakes)
    return mistakes[0]


def replaced(source: str, right: str, wrong: str) -> str:
    assert source.count(right) == 1, right
    return source.replace(right, wrong)


# --- following the way out ----------------------------------------------------------------------


def annotate(source: str, line: int, code: str) -> str:
    lines = source.splitlines()
    at = next(at for at in range(line - 1, len(lines)) if ANNOTATION.search(lines[at]))
    lines[at] = ANNOTATION.sub(lambda _: f") {code}".rstrip() + ":", lines[at])
    return "\n".join(lines)


def name_the_status(source: str, line: int, code: str) -> str:
    lines = source.splitlines()
    lines[line - 1] = lines[line - 1].replace(".step", code)
    return "\n".join(lines)


def make_it_an_entry(source: str, line: int, code: str) -> str:
    name, status = code.split("=")
    if "entry=At.RETURNED" in source:
        return source.replace("entry=At.RETURNED", f"{name}=[At.RETURNED, {status}]")
    return source.replace("start=At.NEW, ", f"start=At.NEW, {code}, ")


def change_places(source: str, line: int, code: str) -> str:
    return source.replace('"orders", At, Order', f'"orders", {code}')


WAYS_OUT: list[tuple[str, Callable[[str, int, str], str]]] = [
    (r"annotate `(->[^`]*)`", annotate),
    (r"write `(\.step\([^`]*\))`", name_the_status),
    (r"`(entry=[^`]*)`", make_it_an_entry),
    (r"write `(Order, At)`", change_places),
]


def mended(source: str, mistake: str) -> str | None:
    """Apply the code that a message shows to the source. None if it shows no code."""
    found = re.match(r"[^:]+:(\d+): ", mistake)
    assert found
    for pattern, mend in WAYS_OUT:
        if code := re.search(pattern, mistake):
            return mend(source, int(found[1]), code[1])
    return None


# --- the rules ----------------------------------------------------------------------------------


def test_the_unchanged_definition_is_correct(tmp_path: Path) -> None:
    assert mistakes_of(SOURCE, tmp_path / "shop.py") == []


@pytest.mark.parametrize("mistake", [*IN_ARGUMENTS, *IN_STEPS], ids=lambda mistake: mistake.wrong)
def test_one_mistake_is_one_message_and_its_way_out_never_loops(
    mistake: Mistake, tmp_path: Path
) -> None:
    path = tmp_path / "shop.py"
    spoiled = replaced(SOURCE, mistake.right, mistake.wrong)
    message = the_mistake_of(spoiled, path)
    assert mistake.says in message
    assert "; " in message or ": " in message.split(mistake.says)[-1], "it has a way out"
    if (source := mended(spoiled, message)) is not None:
        assert mistakes_of(source, path) == []


@pytest.mark.parametrize(("annotation", "says"), IN_ANNOTATIONS)
@pytest.mark.parametrize("step", RESULTS)
def test_a_wrong_annotation_is_one_message_and_the_one_that_it_shows_is_right(
    step: str, annotation: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "shop.py"
    line = SOURCE.splitlines().index(
        next(line for line in SOURCE.splitlines() if f"def {step}(" in line)
    )
    spoiled = annotate(SOURCE, line + 1, annotation.format(RESULTS[step])[1:])
    message = the_mistake_of(spoiled, path)
    assert says in message
    source = mended(spoiled, message)
    if source is None:
        assert "Nowhere" in message
    else:
        assert mistakes_of(source, path) == []


def test_a_wrong_annotation_in_a_random_graph_is_one_message_that_leads_out(
    rng: random.Random, tmp_path: Path
) -> None:
    for at in range(200):
        path = tmp_path / f"shop{at}.py"
        source = random_source(rng, path)
        line = rng.choice(
            [number for number, text in enumerate(source.splitlines(), 1) if "async def s" in text]
        )
        spoiled = annotate(source, line, rng.choice(["", "-> None", "-> At", "-> Cancel | None"]))
        message = the_mistake_of(spoiled, path)
        repaired = mended(spoiled, message)
        assert repaired is not None
        assert mistakes_of(repaired, path) == []


def random_source(rng: random.Random, path: Path) -> str:
    """A correct definition of 6 statuses with a random graph. Unreached statuses are entries."""
    names = ["A", "B", "C", "D", "E", "F"]
    steps = ""
    for name in rng.sample(names, rng.randint(1, 6)):
        targets = ", ".join(f"At.{target}" for target in rng.sample(names, rng.randint(1, 3)))
        steps += f"""
@orders.step(At.{name})
async def step_{name}(run: Run[Order, At]) -> Literal[{targets}]:
    return At.{name}
"""
    head = SOURCE[: SOURCE.index("class At")]
    entries = "[]"
    for _ in names:
        source = f"""{head}
At = Status("At", {names})


class Order(BaseModel):
    total: int = 0


orders = Workflow("orders", Order, At, start=At.A, entry={entries})
{steps}"""
        found = [mistake.rsplit("entry=", 1)[1] for mistake in mistakes_of(source, path)]
        if not found:
            return source
        entries = f"[{', '.join([*entries.strip('[]').split(', '), *found])}]".replace("`", "")
        entries = entries.replace("[, ", "[")
    raise AssertionError("the entries that are shown do not end")
