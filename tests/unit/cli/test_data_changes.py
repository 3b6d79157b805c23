"""What a version has changed in the data of a run, field by field."""

import json
import random
from typing import Any

import pytest

from workflow_ray.cli.data_changes import WIDTH, Unreadable, changes, parsed, shown
from workflow_ray.records.encoded import Envelope, sealed, unreadable


def lines_of(before: Any, after: Any) -> list[str]:
    return [str(change) for change in changes(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ({"total": 40}, {"total": 45}, ["  total: 40 -> 45"]),
        ({}, {"total": 40, "paid": False}, ["+ total: 40", "+ paid: false"]),
        ({"total": 40, "card": "visa"}, {"total": 40}, ['- card: "visa"']),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, ["  a.b.c: 1 -> 2"]),
        ({"a": [1, 2]}, {"a": [1, 3, 4]}, ["  a[1]: 2 -> 3", "+ a[2]: 4"]),
        ({"a": [{"p": 1}, 2]}, {"a": [{"p": 5}]}, ["  a[0].p: 1 -> 5", "- a[1]: 2"]),
        ({"a": 1}, {"a": {"b": 1}}, ['  a: 1 -> {"b": 1}']),
        ({"a": None}, {"a": 0}, ["  a: null -> 0"]),
        ({"a": 1, "b": 1}, {"a": True, "b": 1.0}, ["  a: 1 -> true", "  b: 1 -> 1.0"]),
        ({"a b": 1}, {"a b": 2}, ['  "a b": 1 -> 2']),
        (1, 2, ["  1 -> 2"]),
    ],
)
def test_a_field_that_was_added_removed_or_changed_is_told_by_its_path(
    before: Any, after: Any, lines: list[str]
) -> None:
    assert lines_of(before, after) == lines


def test_data_that_is_the_same_has_no_changes(rng: random.Random) -> None:
    for _ in range(200):
        data = generate(rng, 4)
        assert lines_of(data, json.loads(json.dumps(data))) == []
    assert lines_of(parsed(b'{"a": NaN}'), parsed(b'{"a": NaN}')) == []


def test_data_that_differs_has_a_change(rng: random.Random) -> None:
    for _ in range(200):
        before, after = generate(rng, 4), generate(rng, 4)
        assert bool(lines_of(before, after)) == (json.dumps(before) != json.dumps(after))


def test_a_large_value_is_cut_and_its_size_is_told() -> None:
    (line,) = lines_of({"a": "x" * 2_000_000}, {"a": "y"})
    assert len(line) < 2 * WIDTH
    assert "(2,000,002 bytes)" in line


def test_control_characters_of_names_and_values_are_made_visible() -> None:
    (line,) = lines_of({}, {"a\x1b[2J": "\x1b[31m\n\u202e"})
    assert line.isprintable()


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'"\xff"', b"[" * 100_000])
def test_data_that_cannot_be_read_says_so_and_how_large_it_is(data: bytes) -> None:
    with pytest.raises(Unreadable, match=f"{len(data):,} bytes that can't be read"):
        parsed(data)


def test_data_that_could_not_be_decoded_has_no_size() -> None:
    with pytest.raises(Unreadable, match=r"^data that can't be read: its key was deleted$"):
        parsed(unreadable("its key was deleted"))
    data = sealed(Envelope("zlib", 40, b"payload"))
    with pytest.raises(Unreadable, match=f"^{len(data)} bytes that can't be read: it is encoded"):
        parsed(data)


def test_a_value_of_half_a_surrogate_pair_is_shown() -> None:
    assert shown(parsed(b'"\\ud800' + b"x" * 100 + b'"')).isprintable()


def generate(rng: random.Random, depth: int) -> Any:
    """Some JSON."""
    kind = rng.randrange(7 if depth else 5)
    match kind:
        case 0:
            return rng.choice([None, True, False])
        case 1:
            return rng.randrange(-2, 3)
        case 2:
            return rng.choice([0.0, 1.0, 2.5])
        case 3 | 4:
            return rng.choice(["", "a", "é", "1"])
        case 5:
            return [generate(rng, depth - 1) for _ in range(rng.randrange(4))]
        case _:
            names = sorted(rng.sample("abcd", rng.randrange(4)))
            return {name: generate(rng, depth - 1) for name in names}
