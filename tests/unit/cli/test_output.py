"""Text for people shows what it holds, and JSON for programs is strict."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from workflow_ray.cli.output import to_json, visible

HOSTILE = "\x1b[2J\x9b31m\x07\r\n\t\x00\x7f\u202e\u2028\ud800"


def test_characters_that_control_a_terminal_are_made_visible() -> None:
    assert visible(HOSTILE).isprintable()
    assert visible("a\x1b[31mb\nc\x9b\u202e") == r"a\x1b[31mb\nc\x9b\u202e"


@pytest.mark.parametrize("text", ["order-1", "[red]x[/red] :smile:", "Größe 東京　1", "a\\nb"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_json_is_ascii_without_control_characters_and_means_the_same() -> None:
    text = HOSTILE.removesuffix("\ud800") + "Größe 😀"
    written = to_json({"text": text})
    assert all(character == "\n" or " " <= character <= "~" for character in written)
    assert json.loads(written) == {"text": text}


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (b'{"x":NaN}', {"x": "NaN"}),
        (b"[Infinity,-Infinity]", ["Infinity", "-Infinity"]),
        (b'{"NaN \\"":"-Infinity","y":[1.50,NaN]}', {'NaN "': "-Infinity", "y": [1.5, "NaN"]}),
    ],
)
def test_numbers_that_json_lacks_become_strings(stored: bytes, shown: object) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert json.loads(to_json(msgspec.Raw(stored)), parse_constant=refuse) == shown


def test_numbers_keep_their_digits() -> None:
    assert to_json(msgspec.Raw(b"[1.10,1e400,123456789012345678901234567890]")).split() == [
        "[",
        "1.10,",
        "1e400,",
        "123456789012345678901234567890",
        "]",
    ]


def test_times_are_iso_8601() -> None:
    assert to_json(datetime(2026, 1, 2, tzinfo=UTC)) == '"2026-01-02T00:00:00Z"'
