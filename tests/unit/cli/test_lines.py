"""A job's input: which lines are accepted, and why the others are refused."""

import asyncio
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field, field_validator

from workflow_ray import Status, Workflow
from workflow_ray.cli.lines import CHUNK, MAX_LINE, Line, Parser, Refused, read_lines


class Letter(BaseModel):
    to: str
    stamps: int = 1

    @field_validator("to")
    @classmethod
    def known(cls, to: str) -> str:
        # a KeyError, as the models of users raise it
        return {"ann": "Ann", "bob": "Bob"}[to.lower()]


class LetterStatus(Status):
    WRITTEN = 1


letters = Workflow("letters", Letter, LetterStatus)
ANN = b'{"foreign_id": "a", "data": {"to": "ann"}}'


def parsed(*lines: bytes) -> list[Line | Refused]:
    return list(Parser(letters).parse(lines))


def reason(line: bytes) -> str:
    (answer,) = parsed(line)
    assert isinstance(answer, Refused)
    return answer.why


def test_a_line_is_a_foreign_id_and_the_workflows_data() -> None:
    assert parsed(ANN) == [Line(1, "a", Letter.model_construct(to="Ann", stamps=1))]


def test_lines_are_numbered_as_in_an_editor_and_empty_ones_are_skipped() -> None:
    assert [answer.number for answer in parsed(b"", ANN, b"  ", b"nonsense")] == [2, 4]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{nonsense}", "not JSON: object keys must be strings (byte 1)"),
        (b'{"foreign_id": "\xff", "data": {}}', "not JSON: 'utf-8' codec can't decode"),
        (
            b'{"foreign_id": "a"}',
            'not {"foreign_id": text, "data": {...}}: Object missing required field `data`',
        ),
        (b'{"foreign_id": 7, "data": {}}', "Expected `str`, got `int` - at `$.foreign_id`"),
        (b'{"foreign_id": "a", "data": {}, "datum": {}}', "unknown field `datum`"),
        (b'{"foreign_id": "", "data": {"to": "ann"}}', "foreign_id: it is empty"),
        (
            b'{"foreign_id": "a", "data": {"to": "ann", "stamps": "many"}}',
            "data: stamps: Input should be a valid integer",
        ),
        (b'{"foreign_id": "a", "data": []}', "data: all of it: Input should be an object"),
        (b'{"foreign_id": "a", "data": {"to": "eve"}}', "data: Letter raised KeyError: 'eve'"),
    ],
)
def test_a_line_that_cannot_be_used_is_refused_with_its_reason(line: bytes, why: str) -> None:
    assert why in reason(line)


def test_a_reason_names_the_field_and_not_its_value() -> None:
    assert "secret" not in reason(b'{"foreign_id": "a", "data": {"to": "ann", "stamps": "secret"}}')


def test_the_lines_after_a_refused_one_go_through() -> None:
    first, second = parsed(b"nonsense", ANN)
    assert isinstance(first, Refused)
    assert isinstance(second, Line)


def test_a_foreign_id_with_the_same_data_again_is_a_repeat() -> None:
    parser = Parser(letters)
    answers = list(parser.parse([ANN, b'{"data": {"to": "ann", "stamps": 1}, "foreign_id": "a"}']))
    assert (len(answers), parser.repeats) == (1, 1)


def test_a_repeated_line_is_a_repeat_whatever_a_default_factory_returns() -> None:
    class Dated(BaseModel):
        dated: UUID = Field(default_factory=uuid4)

    parser = Parser(Workflow("dated", Dated, LetterStatus))
    (line,) = parser.parse([b'{"foreign_id": "a", "data": {}}'] * 2)
    assert (line.number, parser.repeats) == (1, 1)


def test_a_foreign_id_with_other_data_is_refused() -> None:
    _, second = parsed(ANN, b'{"foreign_id": "a", "data": {"to": "bob"}}')
    assert second == Refused(2, "foreign_id: 'a' is on line 1 with other data")


async def test_a_file_is_read_in_bounded_pieces_that_lose_nothing(tmp_path: Path) -> None:
    lines = [b"x" * 1000 + str(number).encode() for number in range(1000)]
    (tmp_path / "input").write_bytes(b"\n".join(lines))
    with opened(tmp_path / "input") as descriptor:
        pieces = [piece async for piece in read_lines(descriptor)]
    assert [line for piece in pieces for line in piece] == lines
    assert len(pieces) > 2
    assert max(sum(map(len, piece)) for piece in pieces) < CHUNK + 2000


async def test_a_line_without_end_is_not_kept_and_the_next_goes_through(tmp_path: Path) -> None:
    (tmp_path / "input").write_bytes(b"x" * (MAX_LINE + 3 * CHUNK) + b"\n" + ANN)
    parser = Parser(letters)
    with opened(tmp_path / "input") as descriptor:
        answers = [
            answer async for piece in read_lines(descriptor) for answer in parser.parse(piece)
        ]
    assert [type(answer) for answer in answers] == [Refused, Line]


async def test_a_line_from_a_pipe_is_read_before_the_next_is_written() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"one\ntw")
    pieces = read_lines(reading)
    assert await anext(pieces) == [b"one"]
    os.write(writing, b"o\n")
    assert await anext(pieces) == [b"two"]
    os.close(writing)
    assert [piece async for piece in pieces] == []
    os.close(reading)


async def test_reading_a_silent_pipe_can_be_cancelled() -> None:
    reading, writing = os.pipe()
    waiting = asyncio.ensure_future(anext(read_lines(reading)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    os.close(reading)
    os.close(writing)


@contextmanager
def opened(path: Path) -> Generator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def test_a_byte_order_mark_costs_no_line() -> None:
    assert parsed(b"\xef\xbb\xbf" + ANN) == parsed(ANN)
