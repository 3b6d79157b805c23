"""One mistake in a definition is one message, and its way out leads to a correct definition."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.definition.spoiled import (
    IN_ANNOTATIONS,
    IN_ARGUMENTS,
    IN_STEPS,
    RESULTS,
    SOURCE,
    Mistake,
)
from workflow_ray.definition import Workflow
from workflow_ray.errors import InvalidDefinition

ANNOTATION = re.compile(r"\)( -> .*)?:$")


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
