"""`workflow-ray logs`: prints the logs of the roles on Ray, from all nodes."""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.text import Text

from workflow_ray.cli.options import AsJson, Records
from workflow_ray.cli.output import complain, print_json_line, visible, write
from workflow_ray.cli.status import find_running
from workflow_ray.cli.status_report import Running
from workflow_ray.cli.status_views import LogsView
from workflow_ray.errors import InvalidInput, StoreError, UnknownWorkflow
from workflow_ray.ports import SystemClock
from workflow_ray.records import Deployment, consumer_group
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.ray.log_reader import Entry
from workflow_ray.runtime.urls import place_of, records_url

POLL = 0.5
"""Seconds between two reads of new entries."""
SHOWN = 8
"""How many names an error lists."""
STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
LEVEL = re.compile(r"\S+ \S+ ([A-Z]+) ")

Role = Annotated[
    str | None,
    typer.Argument(
        metavar="ROLE",
        help="A role's name, or its first characters, as `status` shows it. Default: all.",
    ),
]
Workflow = Annotated[
    str | None, typer.Option("--workflow", metavar="NAME", help="Only the steps of this workflow.")
]
Status = Annotated[
    str | None, typer.Option("--status", help="Only the step of this status; needs --workflow.")
]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on with what is added, until Ctrl-C.")
]
Lines = Annotated[
    int, typer.Option("--lines", "-n", min=0, max=10_000, help="How many of the last entries.")
]


@dataclass(frozen=True)
class Choice:
    """Selects the actors whose logs the user asks for."""

    role: str | None
    workflow: str | None
    status: str | None

    def of(self, known: Sequence[str], deployment: Deployment) -> list[str]:
        """Select from the known actors. Raises InvalidInput or UnknownWorkflow if none fits."""
        if self.role is not None:
            return [_named(self.role, known)]
        if self.workflow is None:
            return list(known)
        pattern = re.compile(rf"{self._group(self.workflow, deployment)}-\d+-of-\d+")
        found = [name for name in known if pattern.fullmatch(name)]
        if not found and self.workflow not in [each.name for each in deployment.workflows]:
            raise UnknownWorkflow(self.workflow, [each.name for each in deployment.workflows])
        return found

    def _group(self, workflow: str, deployment: Deployment) -> str:
        """Build a regular expression for the group's name."""
        if self.status is None:
            return rf"{re.escape(workflow)}-\d+-consumer"
        statuses = {each.name: each.statuses for each in deployment.workflows}.get(workflow)
        if statuses is None:
            raise UnknownWorkflow(workflow, [each.name for each in deployment.workflows])
        if self.status not in statuses:
            raise InvalidInput(
                "--status", f"{workflow!r} has no {self.status!r}; it has {', '.join(statuses)}"
            )
        return re.escape(consumer_group(workflow, statuses[self.status]))


def logs(
    role: Role = None,
    workflow: Workflow = None,
    status: Status = None,
    follow: Follow = False,
    lines: Lines = 200,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Show what the roles on Ray have logged, on all nodes, also those that have ended.

    Local processes log to their standard error, and this command says which ones these are. With
    --json each line is an object with `time`, `actor` and `text`.
    """
    if status is not None and workflow is None:
        raise InvalidInput("--status", "give --workflow too: statuses of workflows have like names")
    choice = Choice(role, workflow, status)
    asyncio.run(_logs(records_url(records), choice, lines, follow, _printer(as_json)))


async def _logs(
    url: str, choice: Choice, lines: int, follow: bool, show: Callable[[Entry], None]
) -> None:
    from workflow_ray.runtime.ray.node_logs import is_on_ray, logs_here, logs_of_cluster

    deployment, running = await _found(url)
    if running.on == "local":
        processes = dict.fromkeys(f"{role.pid} on {role.host}" for role in running.held)
        return complain(
            f"Local processes run this and log to their standard error: {', '.join(processes)}."
        )
    folder = running.logs.folder or _usual_folder(url)
    found = await logs_of_cluster(folder) if await is_on_ray() else logs_here(folder)
    known = sorted({*await found.actors(), *(role.name for role in running.held)})
    if not known:
        raise InvalidInput("logs", f"there are none of {place_of(url)} in {folder}")
    chosen = choice.of(known, deployment)
    for entry in await found.last(chosen, lines):
        show(entry)
    silent = set[str]()
    while True:
        for node in sorted(found.silent - silent):
            complain(f"Node {node} does not answer: its lines are missing.")
        silent |= found.silent
        if not follow:
            return None
        await asyncio.sleep(POLL)
        with suppress(InvalidInput):  # a new role may begin as the one that was asked for
            chosen = choice.of(await found.actors(), deployment)
        for entry in await found.added(chosen):
            show(entry)


async def _found(url: str) -> tuple[Deployment, Running]:
    """Read the deployment, and find what runs.

    Both are empty if the store can't be reached: the logs may say why.
    """
    try:
        async with open_beside(url, SystemClock()) as store:
            activity = await store.activity(limit=0)
            return await store.deployment(), await find_running(url, activity)
    except StoreError as error:
        complain(f"workflow-ray: {error}")
        return Deployment(store_id=""), Running(None, (), LogsView(where="nowhere"))


def _usual_folder(url: str) -> str:
    from workflow_ray.runtime.ray.actors import namespace_of
    from workflow_ray.runtime.ray.log_files import log_folder

    return str(log_folder(namespace_of(place_of(url))))


def _named(text: str, known: Sequence[str]) -> str:
    """Find the actor with this name, or the only one whose name begins with it."""
    if text in known:
        return text
    found = [name for name in known if name.startswith(text)]
    if len(found) == 1:
        return found[0]
    shown = ", ".join((found or known)[:SHOWN])
    more = " ..." if len(found or known) > SHOWN else ""
    why = f"{len(found)} names begin with it" if found else "no role or actor has this name"
    raise InvalidInput(f"ROLE {text!r}", f"{why}: {shown}{more}")


def _printer(as_json: bool) -> Callable[[Entry], None]:
    def print_object(entry: Entry) -> None:
        print_json_line(entry._asdict())

    def print_lines(entry: Entry) -> None:
        level = LEVEL.match(entry.text)
        style = STYLES.get(level[1], "") if level else ""
        for line in entry.text.split("\n"):
            write(Text(visible(line), style))

    return print_object if as_json else print_lines
