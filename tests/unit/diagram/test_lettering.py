"""Widths and wrapping of text."""

import random

import pytest

from workflow_ray.diagram.lettering import Font

FONT = Font(12)


def test_bold_text_is_wider() -> None:
    assert Font(12, bold=True).width("ORDER") > FONT.width("ORDER") > 3 * 12


@pytest.mark.parametrize("letter", ["漢", "😀", "Ж", "W"])
def test_a_letter_of_any_alphabet_has_room(letter: str) -> None:
    assert FONT.width(letter) >= 12


def test_an_accent_takes_no_room_of_its_own() -> None:
    assert FONT.width("e\u0301") == FONT.width("e")


def test_text_is_wrapped_between_its_words() -> None:
    font = Font(10)
    assert font.wrap("AWAITING_FIRST_PAYMENT", 80, 3) == ["AWAITING_", "FIRST_", "PAYMENT"]
    assert font.wrap("awaitingFirstPayment", 60, 3) == ["awaiting", "First", "Payment"]
    assert font.wrap("a run of invoices ended", 80, 3) == ["a run of", "invoices ended"]


def test_text_that_needs_too_many_lines_is_shortened() -> None:
    assert FONT.wrap("AWAITING_FIRST_PAYMENT", 80, 2) == ["AWAITING_", "FIRST…"]
    (line,) = FONT.wrap("x" * 100, 80, 1)
    assert line.endswith("…")


def test_text_that_fits_stays_in_one_line() -> None:
    assert FONT.wrap("PAID", 80, 3) == ["PAID"]
    assert FONT.wrap("", 80, 3) == [""]
    assert FONT.wrap("two\nlines", 80, 3) == ["two lines"]


def test_no_line_is_wider_than_it_may_be(rng: random.Random) -> None:
    for _ in range(200):
        text = "".join(rng.choices("abcXYZ_-. Üß漢", k=rng.randint(0, 60)))
        lines = FONT.wrap(text, 90, 3)
        assert len(lines) <= 3
        assert all(FONT.width(line) <= 90 for line in lines), text
