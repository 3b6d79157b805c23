"""The picture of docs/graph.md is that of the program there."""

from tests.graph_picture import PICTURE, svg


def test_the_picture_is_drawn_by_the_current_code() -> None:
    assert PICTURE.read_text() == svg(), "run `make graph-picture`"
