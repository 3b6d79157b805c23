"""What runs on Ray: bring it there, look at it, take it away.

Ray is imported by the commands that need it only: it takes a second.
"""

import asyncio
import os
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from workflow_ray.cli.option_groups import grouped
from workflow_ray.cli.options import DeployOptions, Records, Workflows
from workflow_ray.cli.output import say
from workflow_ray.definition import load
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import SystemClock
from workflow_ray.runtime import Runtime
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.scaling import scale as change_shards
from workflow_ray.runtime.urls import place_of, records_url

if TYPE_CHECKING:
    from workflow_ray.runtime.ray.changes import WorkflowChange

Restart = Annotated[
    bool,
    typer.Option("--restart", help="Restart these workflows although their code hasn't changed."),
]

Name = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's name, e.g. orders.")]
StatusName = Annotated[
    str, typer.Argument(metavar="STATUS", help="A status that has a step, by name, e.g. CREATED.")
]
Shards = Annotated[
    int | None, typer.Option("--shards", min=1, help="How many: up to the workflow's partitions.")
]
Reset = Annotated[bool, typer.Option("--reset", help="Go back to the count that the code says.")]


@grouped
def deploy(references: Workflows, options: DeployOptions, restart: Restart = False) -> None:
    """Have workflows run on Ray. Those whose code has changed are restarted; the others go on.

    A workflow's code is its module and the modules that this imports from its own folder. Prints
    what is started, restarted and unchanged. Other workflows of the same records stay as they are.

    Code that was replaced since it was deployed is refused (see --rollback), and so is another
    definition of the same name (see --replace).
    """
    workflows = [load(reference, [os.getcwd()]) for reference in references]

    runtime = Runtime.ray(
        *workflows,
        **asdict(options),
        restart=restart,
    )

    async def deployed() -> None:
        async with runtime:
            pass  # leaving stops nothing

    asyncio.run(deployed())
    for change in runtime.changes:
        say(_told(change))
    say(f"Running on {runtime.urls.places}.")


def _told(change: "WorkflowChange") -> str:
    count = len(change.roles)
    roles = f"{count} role" if count == 1 else f"{count} roles"
    return f"{change.workflow}: {change.change}, {roles}{', ' if change.why else ''}{change.why}."


def scale(
    workflow: Name,
    status: StatusName,
    shards: Shards = None,
    reset: Reset = False,
    records: Records = None,
) -> None:
    """Set how many shards run a status's step, while it runs: on Ray, or in the process that has
    the records open.

    On Ray the processes of the new shards start before the current shards stop.
    The count holds, whatever the code says, until it is set again or --reset.
    """
    from workflow_ray.runtime.ray.deployment import prepare, refresh

    if (shards is None) != reset:
        raise InvalidInput(
            "scale", "give either --shards N, or --reset for the count that the code says"
        )
    url = records_url(records)

    async def scaled() -> int:
        async with open_beside(url, SystemClock()) as store:
            statuses = {one.name: one.statuses for one in (await store.deployment()).workflows}
            numbers = statuses.get(workflow, {})
            if numbers and status not in numbers:
                raise InvalidInput(f"status {status!r}", f"{workflow!r} has {', '.join(numbers)}")
            number = numbers.get(status, 0)
            prepared = partial(prepare, records=records)
            count = await change_shards(store, workflow, number, shards=shards, prepare=prepared)
        await refresh(records)
        return count

    count = asyncio.run(scaled())
    say(f"{workflow}.{status}: {count} {'shard' if count == 1 else 'shards'}, on {place_of(url)}.")


def down(records: Records = None) -> None:
    """End what works on the records, once it has finished what it holds. The records stay; `run` or
    `deploy` goes on with them.

    The Ray that was started for it on this machine ends too, unless something else runs on it.
    """
    from workflow_ray.runtime.ray.cluster import stop_unused_cluster
    from workflow_ray.runtime.ray.deployment import down

    found = asyncio.run(down(records))
    say(
        f"{'Ended what ran' if found else 'Nothing ran'} on {place_of(records_url(records))}. The"
        " records stay."
    )
    if stop_unused_cluster():
        say("Stopped Ray on this machine.")
