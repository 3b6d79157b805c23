"""docs/errors.md has every error, with its exit code and whether it is transient."""

import re
from pathlib import Path

import pytest

from workflow_ray import errors

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
ENTRIES = dict(re.findall(r"^\| `(\w+)` \| (\d+ \|(?: (?:yes|no) \|)?)", PAGE, re.MULTILINE))
"""The name of an error -> what follows it in its table."""


def test_the_page_has_every_error_and_no_other() -> None:
    assert {*ENTRIES, "WorkflowError"} == set(errors.__all__)


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_an_entry_says_what_the_class_says(name: str) -> None:
    error: type[errors.WorkflowError] = getattr(errors, name)
    cells = [cell.strip() for cell in ENTRIES[name].split("|")]
    assert cells[0] == str(error.exit_code)
    is_of_stores = issubclass(error, errors.StoreError)
    assert cells[1] == (("yes" if error.transient else "no") if is_of_stores else "")
    assert is_of_stores or not error.transient
