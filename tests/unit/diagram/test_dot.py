"""The language of Graphviz."""

from pathlib import Path

from tests.unit.diagram.diagrams import HOSTILE, SHOP
from workflow_ray.diagram import Diagram, StatusPart

GOLDEN = Path(__file__).parent / "golden" / "orders.dot"


def test_a_diagram_is_a_digraph() -> None:
    assert SHOP.dot() == GOLDEN.read_text()


def test_any_name_is_text() -> None:
    text = Diagram(HOSTILE, (StatusPart(name=HOSTILE, is_start=True),), ()).dot()
    written = r'"a \"b\" <c> &amp; d\\e\nf; g|h #9 %% ]) `i` '
    assert f'    s0 [label={written}\ufffd"];\n' in text
