"""docs/cli.md describes the current commands."""

from tests.cli_page import PAGE, text


def test_the_page_is_that_of_the_commands() -> None:
    assert PAGE.read_text() == text(), "run `make cli-page`"
