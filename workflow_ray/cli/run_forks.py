"""The command that starts a run from a version of another one."""

import asyncio
from typing import Annotated, Any

import msgspec
import typer

from workflow_ray.cli.asking import name_of_asker
from workflow_ray.cli.commands import command
from workflow_ray.cli.exit_codes import ExitCode
from workflow_ray.cli.options import AsJson, OfWorkflow, Records
from workflow_ray.cli.output import print_json, say
from workflow_ray.cli.run_controls import By
from workflow_ray.cli.run_references import RunReferences, choose_workflows
from workflow_ray.cli.views import Names
from workflow_ray.client import Client, Handle, TriggerOutcome
from workflow_ray.client.deployed import find_deployed
from workflow_ray.ports import SystemClock
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.hosting import load_deployed
from workflow_ray.runtime.urls import records_url

Of = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run id, its first characters, or a foreign id."),
]
At = Annotated[
    int,
    typer.Argument(metavar="VERSION", help="A version of its history, as `runs history` shows."),
]
ForeignId = Annotated[
    str | None,
    typer.Option("--foreign-id", help="The new run's foreign id. Default: that of the run."),
]
Key = Annotated[
    str | None,
    typer.Option(
        "--idempotency-key", help="A command that is repeated with it starts no second run."
    ),
]
Why = Annotated[str | None, typer.Option("--reason", help="Why; the history keeps it.")]


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """The new run, and what it was made from. The fields are stable: other programs read them."""

    workflow: str
    run_id: str
    foreign_id: str
    forked_from: str  # the run
    version: int
    known: bool  # whether an earlier command with the same key has started it


def add_fork(runs: typer.Typer) -> None:
    """Add the command."""
    refusals = (ExitCode.NOT_FOUND, ExitCode.NOT_ALLOWED)

    @command(runs, *refusals)
    def fork(
        run: Of,
        version: At,
        foreign_id: ForeignId = None,
        idempotency_key: Key = None,
        reason: Why = None,
        by: By = None,
        workflow: OfWorkflow = None,
        records: Records = None,
        as_json: AsJson = False,
    ) -> None:
        """Start a new run with the data and the status that a run had at a version.

        The run itself stays as it is. Its workflow is loaded in this process.
        """

        async def forked() -> Fork:
            async with open_beside(records_url(records), SystemClock()) as store:
                deployment = await store.deployment()
                known = choose_workflows(list(Names(deployment).statuses), workflow)
                record = await RunReferences(store, known).find(run)
                definition = load_deployed(find_deployed(deployment, record.workflow))
                client: Client[Any, Any] = Client(definition, store, SystemClock())
                new = await client.handle(record.run_id).fork(
                    version,
                    foreign_id=foreign_id,
                    idempotency_key=idempotency_key,
                    reason=reason,
                    by=name_of_asker(by),
                )
                return await _view(new, record.workflow, record.run_id, version)

        done = asyncio.run(forked())
        if as_json:
            print_json(done)
        else:
            state = "was started before" if done.known else "has started"
            say(f"{done.workflow}: run {done.run_id} ({done.foreign_id}) {state}.")


async def _view(new: Handle[Any, Any], workflow: str, forked_from: str, version: int) -> Fork:
    return Fork(
        workflow=workflow,
        run_id=new.run_id,
        foreign_id=(await new.get()).foreign_id,
        forked_from=forked_from,
        version=version,
        known=new.outcome is TriggerOutcome.KNOWN,
    )
