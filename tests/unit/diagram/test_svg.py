"""The picture: a document of its own in which nothing overlaps."""

import random
import re
from itertools import combinations
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from tests.unit.diagram.diagrams import HOSTILE, SHOP, random_diagram
from workflow_ray.diagram import Diagram, Kind, Label, StatusPart, Transition
from workflow_ray.diagram.lettering import Font

SVG = "{http://www.w3.org/2000/svg}"
Area = tuple[float, float, float, float]


def parsed(diagram: Diagram) -> Element:
    return ElementTree.fromstring(diagram.svg())


def numbers(element: Element, *names: str) -> list[float]:
    return [float(element.attrib[name]) for name in names]


def frame(rect: Element) -> Area:
    x, y, width, height = numbers(rect, "x", "y", "width", "height")
    return x, y, x + width, y + height


def frames(root: Element, class_: str) -> list[Area]:
    """The rectangles of a class. Frames inside of another one are left out."""
    rects = [each for each in root.iter(f"{SVG}rect") if class_ in each.attrib["class"].split()]
    return [frame(each) for each in rects if each.get("stroke-width") != "1" or class_ == "pill"]


def overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def extent(text: Element) -> Area:
    x, y, size = numbers(text, "x", "y", "font-size")
    width = Font(size, bold=text.get("font-weight") == "600").width(text.text or "")
    left = x - width / 2 if text.get("text-anchor") == "middle" else x
    return left, y - size * 0.8, left + width, y + size * 0.2


def within(inner: Area, outer: Area) -> bool:
    slack = 0.2  # coordinates are rounded
    return (
        outer[0] - slack <= inner[0]
        and outer[1] - slack <= inner[1]
        and inner[2] <= outer[2] + slack
        and inner[3] <= outer[3] + slack
    )


def graph_of(root: Element) -> Element:
    """The group that has everything but the title and the legend."""
    (found,) = [each for each in root.findall(f"{SVG}g") if each.get("transform")]
    return found


@pytest.mark.parametrize("graph", range(30))
def test_cards_and_labels_do_not_overlap_and_hold_their_text(graph: int, seed: int) -> None:
    diagram = random_diagram(random.Random(f"{seed} {graph}"))
    root = graph_of(parsed(diagram))
    boxes = [*frames(root, "card"), *frames(root, "pill")]
    labels = sum(len(each.labels) for each in diagram.transitions)
    assert len(boxes) == len(diagram.statuses) + labels, "all are drawn"
    assert not [pair for pair in combinations(boxes, 2) if overlap(*pair)]
    texts = [extent(each) for each in root.iter(f"{SVG}text")]
    assert all(sum(within(text, box) for box in boxes) == 1 for text in texts)
    assert not [pair for pair in combinations(texts, 2) if overlap(*pair)]


@pytest.mark.parametrize("graph", range(10))
def test_everything_is_on_the_page(graph: int, seed: int) -> None:
    root = parsed(random_diagram(random.Random(f"{seed} {graph}")))
    width, height = numbers(root, "width", "height")
    page = (0.0, 0.0, width, height)
    group = graph_of(root)
    shift = re.fullmatch(r"translate\((\S+) (\S+)\)", group.attrib["transform"])
    assert shift
    dx, dy = float(shift[1]), float(shift[2])
    for each in (*frames(group, "card"), *frames(group, "pill")):
        assert within((each[0] + dx, each[1] + dy, each[2] + dx, each[3] + dy), page)
    for text in root.findall(f"{SVG}text"):  # title and legend
        assert within(extent(text), page)


def test_each_transition_has_a_line_and_an_arrowhead() -> None:
    root = graph_of(parsed(SHOP))
    assert len([each for each in root.iter(f"{SVG}path") if each.get("class") == "halo"]) == 4
    heads = [each for each in root.iter(f"{SVG}path") if each.get("class") == "solid"]
    assert len(heads) == 5, "the loop has one too"


def test_it_loads_nothing() -> None:
    text = SHOP.svg()
    assert not re.search(r"href|url\(|@import|@font-face|<script|<image|<foreignObject", text)
    assert text.count("http") == 1, "the name of the SVG namespace"


def test_it_has_a_title_and_a_description_for_screen_readers() -> None:
    root = parsed(SHOP)
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert desc is not None
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], desc.attrib["id"]]
    assert title.text == "Workflow orders"
    assert (desc.text or "").startswith("Runs start at CREATED. They end at PAID, FAILED.")
    assert "CREATED to FAILED: failure reserve fails, after 3 attempts." in (desc.text or "")
    assert "PAID: 1,200 completed." in (desc.text or "")


def test_it_has_colours_for_light_and_for_dark_pages() -> None:
    style = parsed(SHOP).findtext(f"{SVG}style") or ""
    light, _, dark = style.partition("@media (prefers-color-scheme:dark)")
    rules = re.compile(r"(\.workflow-diagram [^{]+)\{([a-z]+):")
    assert rules.findall(light) == rules.findall(dark) != []


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("is_dark", [False, True])
def test_text_can_be_read_on_its_background(is_dark: bool) -> None:
    style = parsed(SHOP).findtext(f"{SVG}style") or ""
    rules = style.partition("@media")[2 if is_dark else 0]
    fills = dict(re.findall(r"\.workflow-diagram ([^{]+)\{fill:(#\w{6})\}", rules))
    grounds = [fills.pop(name) for name in (".page", ".card", ".end", ".bad", ".pill")]
    for colour in (fills[name] for name in fills if name != ".full"):
        for ground in grounds:
            dark, light = sorted((luminance(colour), luminance(ground)))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (colour, ground)


def test_any_name_is_text() -> None:
    label = Label(Kind.STEP, HOSTILE, HOSTILE)
    diagram = Diagram(
        HOSTILE,
        (
            StatusPart(name=HOSTILE, is_start=True, functions=(label,)),
            StatusPart(name="\ud800", is_terminal=True),
        ),
        (Transition(source=0, target=1, kind=Kind.STEP, labels=(label,)),),
    )
    root = parsed(diagram)
    assert 'a "b" <c> & d\\e' in (root.findtext(f"{SVG}title") or "")


def test_shortened_names_are_whole_where_the_mouse_rests() -> None:
    name = "A_VERY_LONG_NAME_" * 9
    diagram = Diagram("orders", (StatusPart(name=name, is_start=True),), ())
    titles = [each.text or "" for each in graph_of(parsed(diagram)).iter(f"{SVG}title")]
    assert titles == [name]


def test_two_pictures_in_one_page_have_ids_of_their_own() -> None:
    other = Diagram("invoices", SHOP.statuses, SHOP.transitions)
    ids = re.findall(r'id="([^"]+)"', SHOP.svg() + other.svg())
    assert len(ids) == len(set(ids)) == 4


def test_a_notebook_shows_the_picture() -> None:
    shown = SHOP._repr_svg_()  # pyright: ignore[reportPrivateUsage]  # notebooks call it
    assert shown == SHOP.svg()
    assert repr(SHOP) == "<diagram of orders>"
    assert SHOP.subtitle == "5 statuses · 1,202 runs"


def test_an_end_that_only_failures_reach_is_red() -> None:
    root = graph_of(parsed(SHOP))
    red = [each for each in root.iter(f"{SVG}rect") if "bad" in each.attrib["class"].split()]
    assert len(red) == 2, "the two frames of FAILED"
