"""Connecting the synchronous client."""

from typing import Any

import pytest

from tests.unit.arguments.awaited import AWAITED
from tests.unit.test_arguments import check
from workflow_ray import WorkflowError
from workflow_ray.sync import connect

_, RIGHT, WRONG = AWAITED["connect"]


@pytest.mark.parametrize("argument", WRONG)
def test_a_wrong_argument_is_an_error_that_names_it(argument: str) -> None:
    call: Any = connect
    for value in WRONG[argument]:
        with pytest.raises(WorkflowError) as raised:
            call(**{**RIGHT, argument: value})
        check(raised.value, argument, value)
