"""What the history keeps of an error: its type, its text and the newest lines of its trace."""

import asyncio
import random
from typing import Any, cast

import pytest
from pydantic import BaseModel, ValidationError

from workflow_ray.definition.layers import call_through
from workflow_ray.engine.error_detail import (
    CAUSE,
    CONTEXT,
    CUT,
    MAX_TRACE,
    MAX_TYPE,
    detail_of,
    newest_lines,
    trace_of,
)
from workflow_ray.engine.error_text import text_of
from workflow_ray.engine.next_version import MAX_REASON
from workflow_ray.records import ErrorDetail
from workflow_ray.roles.execution import failed


class Declined(Exception):
    """An error of a user."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class Odd(Exception):
    """An error whose attributes raise."""

    def __getattribute__(self, name: str) -> object:
        if name == "__notes__":
            raise ZeroDivisionError
        return super().__getattribute__(name)


def raised(error: BaseException, *, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def detail(error: BaseException, *, traces: bool = True) -> ErrorDetail:
    return detail_of(failed(error).error, error, traces=traces)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("no card"), "ValueError", "no card"),
        (ValueError(), "ValueError", ""),
        (Declined("Declined: again"), f"{__name__}.Declined", "Declined: again"),
        (asyncio.IncompleteReadError(b"", 1), "asyncio.exceptions.IncompleteReadError", None),
        (SystemExit(3), "SystemExit", "3"),
        (Unprintable(), f"{__name__}.Unprintable", None),
        (
            ExceptionGroup("several", [ValueError("a"), TypeError("b")]),
            "ExceptionGroup",
            "ValueError: a; TypeError: b",
        ),
    ],
)
def test_type_and_message_are_apart(error: BaseException, kind: str, message: str | None) -> None:
    found = detail(raised(error))
    assert found.type == kind
    assert message is None or found.message == message
    assert text_of(error).endswith(found.message) or message is not None


def test_traces_are_left_out_on_request() -> None:
    assert detail(raised(ValueError("x")), traces=False).trace is None


def test_a_trace_has_the_lines_of_user_code_and_the_text() -> None:
    trace = trace_of(raised(ValueError("no card")))
    first, where, code, *_, last = trace.splitlines()
    assert (first, code, last) == (
        "Traceback (most recent call last):",
        "    raise error from cause",
        "ValueError: no card",
    )
    assert where.endswith("in raised")
    assert "test_error_detail.py" in where


async def test_frames_of_this_package_are_left_out() -> None:
    async def fails() -> None:
        raise Declined("x")

    with pytest.raises(Declined) as caught:
        await call_through((), cast(Any, None), fails)
    trace = trace_of(caught.value)
    assert "in fails" in trace
    assert "workflow_ray" not in trace


def test_errors_that_led_to_it_come_first() -> None:
    trace = trace_of(raised(Declined("late"), cause=raised(KeyError("early"))))
    early, late = trace.split(CAUSE)
    assert early.endswith("KeyError: 'early'\n")
    assert late.endswith("Declined: late\n")


def test_an_error_in_an_error_handler_shows_both_unless_it_hides_the_first() -> None:
    error = Declined("late")
    error.__context__ = KeyError("early")
    assert trace_of(error) == f"KeyError: 'early'\n{CONTEXT}Declined: late\n"
    error.__suppress_context__ = True
    assert trace_of(error) == "Declined: late\n"


def test_a_circle_of_causes_ends() -> None:
    one, other = raised(ValueError("one")), raised(ValueError("other"))
    one.__cause__, other.__cause__ = other, one
    assert trace_of(one).count("ValueError") == 2


def test_each_error_of_a_group_has_its_trace() -> None:
    errors = [raised(ValueError(f"number {at}")) for at in range(20)]
    trace = trace_of(raised(BaseExceptionGroup("several", errors)))
    assert "Error 10 of 20 in the group:" in trace
    assert "number 9" in trace
    assert "number 10" not in trace


def test_notes_are_kept() -> None:
    error = raised(ValueError("x"))
    error.add_note("while the card was charged")
    assert trace_of(error).endswith("ValueError: x\nwhile the card was charged\n")


def test_values_of_a_model_are_not_shown() -> None:
    class Card(BaseModel):
        number: int

    given = {"number": "se" + "cret"}
    with pytest.raises(ValidationError) as caught:
        Card.model_validate(given)
    found = detail(caught.value)
    assert "secret" not in f"{found.message}{found.trace}"


def test_an_error_that_cannot_be_formatted_says_why() -> None:
    assert trace_of(raised(Odd())) == "the trace can't be made, because of ZeroDivisionError"


def test_deep_recursion_and_long_texts_are_bounded() -> None:
    def again(depth: int) -> None:
        if not depth:
            raise Declined("x" * 100_000 + "\0\ud800")
        again(depth - 1)

    with pytest.raises(Declined) as caught:
        again(300)
    found = detail(caught.value)
    assert len(found.message) == MAX_REASON
    assert found.trace is not None
    assert len(found.trace) <= MAX_TRACE
    assert "in again" in found.trace

    long = type("L" * 1000, (ValueError,), {})("\0\ud800")
    found = detail(raised(long))
    assert len(found.type) == MAX_TYPE
    for text in (found.type, found.message, found.trace or ""):
        assert "\0" not in text
        text.encode()


def test_the_newest_lines_are_kept(rng: random.Random) -> None:
    for _ in range(200):
        letter = rng.choice("x\N{SNOWMAN}")
        lines = [letter * rng.randrange(40) for _ in range(rng.randrange(1, 30))]
        text, size = "".join(f"{line}\n" for line in lines), rng.randrange(len(CUT) + 1, 400)
        found = newest_lines(text, size)
        assert len(found.encode()) <= size
        if len(text.encode()) > size:
            assert found.startswith(CUT)
            assert text.endswith(found.removeprefix(CUT))
        else:
            assert found == text
