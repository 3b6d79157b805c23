"""The commands that show dead letters, replay them and drop them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
import typer

from workflow_ray.cli.commands import command
from workflow_ray.cli.exit_codes import ExitCode
from workflow_ray.cli.options import AsJson, Decode, Records
from workflow_ray.cli.output import print_json, say
from workflow_ray.cli.tables import show, show_one
from workflow_ray.client import DeadLetter, DeadLetterContent, DeadLetters
from workflow_ray.client.dead_letters import chosen, groups_of
from workflow_ray.client.deployed import find_deployed
from workflow_ray.client.patience import PATIENCE, patient
from workflow_ray.client.writer import Writer
from workflow_ray.coding import coded
from workflow_ray.ports import SystemClock
from workflow_ray.records.encoded import readable
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.hosting import load_deployed
from workflow_ray.runtime.urls import records_url

T = TypeVar("T")
PAGE = 1000
"""The largest number of dead letters that a list shows."""

dead_letters = typer.Typer(
    name="dead-letters",
    no_args_is_help=True,
    help="Show, replay and drop events of connectors and hooks, and deletions of data, whose"
    " attempts are used up.",
)

Workflow = Annotated[
    str, typer.Argument(metavar="WORKFLOW", help="The workflow's name, e.g. orders.")
]
OfConnector = Annotated[
    str | None,
    typer.Option(
        "--connector",
        metavar="NAME",
        help='Only those of this connector, of "hooks" or of "data-deletion". Default: of all.',
    ),
]
Limit = Annotated[int, typer.Option(min=1, max=PAGE, help="The largest number to show.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]
Ids = Annotated[
    list[str], typer.Argument(metavar="ID...", help="One or more, as `list` shows them.")
]


class DeadLetterView(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter."""

    id: str
    origin: str  # the connector's name, or "hooks", or "data-deletion"
    event_id: str
    attempts: int
    error: str
    set_aside_at: datetime
    given_up_at: datetime


class DeadLetterWithContent(DeadLetterView, frozen=True, kw_only=True):
    """A dead letter with what it holds. Fields of the other kind are null."""

    key: str | None  # of a connector's event
    data: str | None  # likewise; bytes that are not UTF-8 are replaced
    headers: dict[str, str] | None
    partition: int | None
    offset: int | None
    at: datetime | None  # when the event was written to its log
    run_id: str | None  # of hooks, and of deletions of data
    version: int | None
    hooks: list[str] | None  # those that have failed


class DeadLettersChanged(msgspec.Struct, frozen=True, kw_only=True):
    """The dead letters that were replayed or dropped."""

    workflow: str
    ids: list[str]


@command(dead_letters, name="list")
def list_dead_letters(
    workflow: Workflow,
    connector: OfConnector = None,
    limit: Limit = 20,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, without the data of their events."""

    async def found(letters: DeadLetters) -> list[DeadLetterView]:
        views: list[DeadLetterView] = []
        async for letter in letters:
            views.append(view_of(letter))
            if len(views) == limit:
                break
        return views

    views = _ask(records, workflow, connector, found)
    show(views, ("id", "attempts", "given_up_at", "error"), as_json=as_json)


@command(dead_letters, ExitCode.NOT_FOUND, name="show")
def show_dead_letter(
    workflow: Workflow,
    letter_id: Id,
    decode: Decode = False,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Show a dead letter with the data of its event.

    If the workflow has codecs, the event is encoded, and can be shown only with --decode.
    """
    content = _ask(records, workflow, None, lambda letters: letters.show(letter_id), decode=decode)
    show_one(_content(content), as_json=as_json)


@command(dead_letters, ExitCode.NOT_FOUND)
def replay(
    workflow: Workflow,
    ids: Ids,
    decode: Decode = False,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Deliver dead letters again, with all their attempts.

    If the workflow has codecs, the events are encoded, and can be replayed only with --decode.
    """
    _ask(records, workflow, None, lambda letters: letters.replay(*ids), decode=decode)
    _print_changed(workflow, ids, "replayed", as_json=as_json)


@command(dead_letters, ExitCode.NOT_FOUND)
def drop(workflow: Workflow, ids: Ids, records: Records = None, as_json: AsJson = False) -> None:
    """Remove dead letters for good."""
    _ask(records, workflow, None, lambda letters: letters.drop(*ids))
    _print_changed(workflow, ids, "dropped", as_json=as_json)


def _ask(
    url: str | None,
    workflow: str,
    connector: str | None,
    question: Callable[[DeadLetters], Awaitable[T]],
    *,
    decode: bool = False,
) -> T:
    """Ask about the dead letters of a workflow, beside the processes that run on the store."""

    async def answer() -> T:
        clock = SystemClock()
        async with open_beside(records_url(url), clock) as store:
            deployed = find_deployed(await store.deployment(), workflow)
            groups = chosen(workflow, groups_of(deployed), connector)
            asked = patient(store, clock, PATIENCE)
            writer = Writer(coded(asked, load_deployed(deployed)) if decode else asked)
            return await question(DeadLetters(workflow, groups, writer))

    return asyncio.run(answer())


def view_of(letter: DeadLetter) -> DeadLetterView:
    """A dead letter as it is shown. An error that is encoded says so."""
    return DeadLetterView(
        id=letter.id,
        origin=letter.origin,
        event_id=letter.event_id,
        attempts=letter.attempts,
        error=readable(letter.error),
        set_aside_at=letter.set_aside_at,
        given_up_at=letter.given_up_at,
    )


def _content(letter: DeadLetterContent) -> DeadLetterWithContent:
    event = letter.event
    return DeadLetterWithContent(
        **msgspec.structs.asdict(view_of(letter)),
        key=event.key if event else None,
        data=event.data.decode(errors="replace") if event else None,
        headers=event.headers if event else None,
        partition=event.partition if event else None,
        offset=event.offset if event else None,
        at=event.at if event else None,
        run_id=letter.run_id,
        version=letter.version,
        hooks=list(letter.hooks) if letter.run_id else None,
    )


def _print_changed(workflow: str, ids: list[str], participle: str, *, as_json: bool) -> None:
    if as_json:
        print_json(DeadLettersChanged(workflow=workflow, ids=ids))
        return
    letters = "1 dead letter" if len(ids) == 1 else f"{len(ids)} dead letters"
    say(f"{workflow}: {letters} {participle}.")
