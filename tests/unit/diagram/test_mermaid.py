"""Mermaid's flowcharts."""

import re
from pathlib import Path

from tests.unit.diagram.diagrams import HOSTILE, SHOP
from workflow_ray.diagram import Diagram, Kind, Label, StatusPart, Transition

GOLDEN = Path(__file__).parent / "golden" / "orders.mmd"


def test_a_diagram_is_a_flowchart() -> None:
    assert SHOP.mermaid() == GOLDEN.read_text()


def test_any_name_is_text() -> None:
    label = Label(Kind.STEP, HOSTILE)
    diagram = Diagram(
        HOSTILE,
        (StatusPart(name=HOSTILE, is_start=True),),
        (Transition(source=0, target=0, kind=Kind.STEP, labels=(label,)),),
    )
    text = diagram.mermaid()
    written = r"a #34;b#34; #60;c#62; #38; d#92;e<br/>f#59; g#124;h #35;9 #37;#37; #93;) #96;i#96; "
    assert re.findall(r'"(.*)"', text) == [f"{written}#27;"] * 2


def test_a_name_is_not_read_as_a_list_of_markdown() -> None:
    text = Diagram("orders", (StatusPart(name="1. - end", is_start=True),), ()).mermaid()
    assert '["1#46; #45; end"]' in text
