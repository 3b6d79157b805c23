"""One mistake in what a run waits for is one message, and its way out leads to a correct
definition.
"""

from pathlib import Path

import pytest

from tests.unit.definition.spoiled import IN_ANNOTATIONS, Mistake
from tests.unit.definition.spoiled_waits import (
    IN_FUNCTIONS,
    IN_HANDLERS,
    IN_OPTIONS,
    IN_STATUSES,
    RESULTS,
    SOURCE,
)
from tests.unit.definition.test_one_mistake import (
    annotate,
    mended,
    mistakes_of,
    replaced,
    the_mistake_of,
)


def test_the_unchanged_definition_is_correct(tmp_path: Path) -> None:
    assert mistakes_of(SOURCE, tmp_path / "shop.py") == []


def test_a_hook_may_be_declared_with_empty_parentheses(tmp_path: Path) -> None:
    source = replaced(SOURCE, "@orders.on_pause", "@orders.on_pause()")
    assert mistakes_of(source, tmp_path / "shop.py") == []


@pytest.mark.parametrize(
    "mistake",
    [*IN_STATUSES, *IN_OPTIONS, *IN_FUNCTIONS, *IN_HANDLERS],
    ids=lambda mistake: mistake.wrong,
)
def test_one_mistake_is_one_message(mistake: Mistake, tmp_path: Path) -> None:
    message = the_mistake_of(replaced(SOURCE, mistake.right, mistake.wrong), tmp_path / "shop.py")
    assert mistake.says in message
    assert message.startswith(f"{tmp_path / 'shop.py'}:"), "it has a place"
    assert "; " in message or ": " in message.split(mistake.says)[-1], "it has a way out"


@pytest.mark.parametrize(("annotation", "says"), IN_ANNOTATIONS)
@pytest.mark.parametrize("function", RESULTS)
def test_a_wrong_annotation_is_one_message_and_the_one_that_it_shows_is_right(
    function: str, annotation: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "shop.py"
    lines = SOURCE.splitlines()
    line = next(at for at, text in enumerate(lines, 1) if f"def {function}(" in text)
    spoiled = annotate(SOURCE, line, annotation.format(RESULTS[function])[1:])
    message = the_mistake_of(spoiled, path)
    assert says in message
    source = mended(spoiled, message)
    if source is None:
        assert "Nowhere" in message
    else:
        assert mistakes_of(source, path) == []
