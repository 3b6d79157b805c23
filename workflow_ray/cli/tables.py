"""Lays out views as text, for terminals of any width and for pipes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from workflow_ray.cli.output import console, is_terminal, print_json, visible, write

GAP = "  "
LAST_COLUMN = 24
"""The least width of the last column, which wraps if it is longer."""
STYLES = {
    "FAILED": "red",
    "PAUSED": "yellow",
    "CANCELLED": "yellow",
    "RUNNING": "cyan",
    "COMPLETED": "green",
}


def show(views: Sequence[msgspec.Struct], columns: Sequence[str], *, as_json: bool) -> None:
    """Print all fields of views as JSON, or some of them as text.

    Args:
        views: What to print, in order.
        columns: The fields to print as text. The first names the view and is never cut.
        as_json: Print every field, as JSON.
    """
    if as_json:
        print_json(views)
        return
    rows = [[cell(getattr(view, column)) for column in columns] for view in views]
    if not is_terminal():
        write(*_lines([list(columns), *rows]))
    elif _fits(columns, rows):
        write(_table(columns, rows))
    else:
        write(*_blocks(columns, rows))


def show_one(view: msgspec.Struct, *, as_json: bool) -> None:
    """Print all fields of one view as JSON, or each on its own line, which is never cut."""
    if as_json:
        print_json(view)
        return
    names = view.__struct_fields__
    width = max(map(cell_len, names)) + len(GAP)
    for name in names:
        label = (set_cell_size(name, width), "bold")
        write(Text.assemble(label, styled(cell(getattr(view, name)))))


def cell(value: object) -> str:
    """Format a value for people, made visible."""
    match value:
        case None:
            return ""
        case datetime():
            return value.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
        case Mapping():
            pairs = cast(Mapping[str, str], value).items()
            return visible(" ".join(f"{name}={each}" for name, each in pairs))
        case msgspec.Raw():
            return visible(bytes(value).decode(errors="backslashreplace"))
        case _:
            return visible(str(value))


def styled(text: str) -> Text:
    """Colour the names of run states."""
    return Text(text, STYLES.get(text, ""))


def _lines(rows: Sequence[Sequence[str]]) -> list[Text]:
    """Align the columns, and make one line of each row, whatever its length."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        Text(GAP.join(set_cell_size(*pair) for pair in zip(row, widths, strict=True)).rstrip())
        for row in rows
    ]


def _fits(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    needed = sum(widths[:-1]) + min(widths[-1], LAST_COLUMN) + len(GAP) * (len(widths) - 1)
    return needed <= console().width


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, len(GAP), 0, 0))
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], overflow="fold")
    for row in rows:
        table.add_row(*map(styled, row))
    return table


def _blocks(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[RenderableType]:
    """Put the first cell of each row on its own line, and the others indented below it.

    The names of the columns come first, in the same form.
    """
    blocks: list[RenderableType] = []
    for style, row in [("dim", columns), *(("", row) for row in rows)]:
        others = Text(GAP, style).join(styled(each) for each in row[1:] if each)
        blocks += [Text(row[0], style or "bold"), Padding(others, (0, 0, 0, len(GAP)))]
    return blocks
