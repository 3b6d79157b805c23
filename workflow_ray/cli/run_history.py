"""`workflow-ray runs history`: shows each version of a run, and how it changed the data."""

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from workflow_ray.cli.data_changes import Unreadable, changes, parsed
from workflow_ray.cli.output import to_json, visible, write
from workflow_ray.cli.tables import cell
from workflow_ray.cli.views import EntryView, Names, raw
from workflow_ray.engine.past import failed_message, with_oldest_data
from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    DELETED,
    ErrorDetail,
    HistoryEntry,
    Message,
    MessageQuery,
    Record,
    Version,
)

PAGE = 1000
"""How many entries are read at once. Fewer are read where their data is large."""
CHANGES = 50
"""How many changes of one version are shown."""

WithData = Annotated[
    bool,
    typer.Option("--data", help="Show what each version has changed in the data, as it is stored."),
]


WithTrace = Annotated[
    bool,
    typer.Option("--trace", help="Show the traceback of each error that the history keeps."),
]


class EntryWithData(EntryView, frozen=True, kw_only=True):
    """A version of a run with its data."""

    # null: as in the previous version, or the data was deleted
    data: msgspec.Raw | None


async def pages(store: RecordStore, record: Record) -> AsyncIterator[list[HistoryEntry]]:
    """Read the entries of a run page by page, because all of them may not fit into memory."""
    after = Version(0)
    while page := await store.history(record.run_id, after=after, limit=PAGE):
        yield page if after else with_oldest_data(record, page)
        after = page[-1].version


async def entries(
    store: RecordStore, record: Record
) -> AsyncIterator[tuple[HistoryEntry, Message | None]]:
    """Read the versions of a run, and after each the callbacks that have failed at it for good.

    For such a callback the entry has its time and its error.
    """
    failed = await store.messages(MessageQuery(run_ids=(record.run_id,), failed=True))
    async for page in pages(store, record):
        for version in page:
            yield version, None
            for message in failed:
                if message.version == version.version:
                    yield failed_message(message, version), message


async def entry_views(store: RecordStore, names: Names, record: Record) -> list[EntryView]:
    """Read all entries, and keep them without their data."""
    return [
        names.entry(record.workflow, entry, failed)
        async for entry, failed in entries(store, record)
    ]


async def last_error(store: RecordStore, record: Record) -> ErrorDetail | None:
    """Read the error of the run's version, if that is a failed attempt's."""
    before = Version(record.version - 1)
    page = await store.history(record.run_id, after=before, limit=1)
    return page[0].error if page and page[0].version == record.version else None


async def print_at_length(
    store: RecordStore, names: Names, record: Record, *, data: bool, as_json: bool
) -> None:
    """Print all entries, one at a time, with the traces of their errors.

    Args:
        store: Has the run.
        names: Makes the views, with or without traces.
        record: The run.
        data: Whether the data of each entry is printed too: as text, how it has changed.
        as_json: Whether a JSON array is printed, and not text.
    """
    if as_json:
        await _print_raw(store, names, record, data=data)
        return
    before: object = {}
    async for entry, failed in entries(store, record):
        view = names.entry(record.workflow, entry, failed)
        write(Text(_head(view), "bold"))
        if view.error is not None and view.error.trace:
            write(trace_text(view.error.trace))
        if data and entry.data is not None:
            before = _print_changes(before, entry.data)


def trace_text(trace: str) -> Text:
    """Make the text of a trace, indented."""
    return Text("\n".join(f"     {visible(line)}".rstrip() for line in trace.splitlines()))


async def _print_raw(store: RecordStore, names: Names, record: Record, *, data: bool) -> None:
    """Print a JSON array, one entry at a time."""
    mark = "["
    async for entry, failed in entries(store, record):
        view = names.entry(record.workflow, entry, failed)
        write(Text(mark), Text(to_json(_with_data(view, entry) if data else view)))
        mark = ","
    write(Text("]" if mark == "," else "[]"))


def _with_data(view: EntryView, entry: HistoryEntry) -> EntryWithData:
    fields = {name: getattr(view, name) for name in view.__struct_fields__}
    return EntryWithData(**fields, data=None if entry.data is None else raw(entry.data))


def _head(view: EntryView) -> str:
    reason = f"  {cell(view.reason)}" if view.reason else ""
    return visible(
        f"{view.version}  {view.status}  {view.run_state}  {view.cause} by {view.by}"
        f"  {cell(view.at)}{reason}"
    )


def _print_changes(before: object, data: bytes) -> object:
    """Print the changes of one version.

    Returns:
        The data to compare the next version with. None if this data can't be read.
    """
    if data == DELETED:
        write(Text("     the data was deleted"))
        return {}
    if before is None:
        write(Text("     (all of it, because the previous version can't be read)"))
        before = {}
    try:
        after = parsed(data)
        found = changes(before, after)
        lines = list(map(str, islice(found, CHANGES)))
        rest = _count(found)
    except (Unreadable, RecursionError) as error:
        why = str(error) if isinstance(error, Unreadable) else "it is nested too deeply to compare"
        write(Text(f"     {visible(why)}"))
        return None
    for line in lines:
        write(Text(f"     {line}"))
    if rest:
        write(Text(f"     and {rest:,} more changes; --json has the whole data"))
    return after


def _count(found: Iterator[object]) -> int:
    return sum(1 for _ in found)
