"""The commands that deploy workflows on Ray, scale them, and stop them.

Only the commands that need Ray import it: that takes a second.
"""

import asyncio
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from workflow_ray.cli.option_groups import grouped
from workflow_ray.cli.options import AsJson, DeployOptions, Records, Workflows
from workflow_ray.cli.output import print_json, say
from workflow_ray.cli.results import Deployed, DeployedWorkflow, Scaled, Stopped
from workflow_ray.definition import load
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import SystemClock
from workflow_ray.runtime import Runtime
from workflow_ray.runtime.connect import open_beside, process_status
from workflow_ray.runtime.process_status import ProcessStatus
from workflow_ray.runtime.scaling import scale as change_shards
from workflow_ray.runtime.urls import place_of, records_url

if TYPE_CHECKING:
    from workflow_ray.runtime.ray.changes import WorkflowChange
    from workflow_ray.runtime.ray.deployment import RayRuntime

Restart = Annotated[
    bool,
    typer.Option("--restart", help="Restart these workflows even if their code has not changed."),
]

Name = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's name, e.g. orders.")]
StatusName = Annotated[
    str,
    typer.Argument(metavar="STATUS", help="The name of a status that has a step, e.g. CREATED."),
]
Shards = Annotated[
    int | None,
    typer.Option("--shards", min=1, help="The number of shards: at most that of the partitions."),
]
Reset = Annotated[bool, typer.Option("--reset", help="Use the count in the code again.")]


@grouped
def deploy(
    references: Workflows,
    options: DeployOptions,
    restart: Restart = False,
    as_json: AsJson = False,
) -> None:
    """Run workflows on Ray. Restarts those whose code has changed, and leaves the others alone.

    A workflow's code is its module and what the module imports from its own folder. Prints which
    workflows it has started and restarted, and which are unchanged. Other workflows on the same
    records are not touched.

    It refuses code that a newer deployment has replaced (see --rollback), another definition of the
    same name (see --replace), and code with which unfinished runs can't go on (see --strand).
    `workflow-ray diff` shows before what a deploy would change.
    """
    workflows = [load(reference, [os.getcwd()]) for reference in references]

    runtime = Runtime.ray(
        *workflows,
        **asdict(options),
        restart=restart,
    )

    async def start() -> None:
        async with runtime:
            pass  # the workflows go on after this block

    asyncio.run(start())
    if as_json:
        print_json(_result(runtime))
        return
    for change in runtime.changes:
        say(_describe(change))
    say(f"Running on {runtime.urls.places}.")


def _result(runtime: "RayRuntime") -> Deployed:
    places = runtime.urls.places
    return Deployed(
        records=places.records,
        events=places.events,
        timeouts=places.timeouts,
        workflows=[
            DeployedWorkflow(
                workflow=each.workflow, change=each.change, roles=each.roles, why=each.why
            )
            for each in runtime.changes
        ],
    )


def _describe(change: "WorkflowChange") -> str:
    count = len(change.roles)
    roles = f"{count} role" if count == 1 else f"{count} roles"
    return f"{change.workflow}: {change.change}, {roles}{', ' if change.why else ''}{change.why}."


def scale(
    workflow: Name,
    status: StatusName,
    shards: Shards = None,
    reset: Reset = False,
    records: Records = None,
    as_json: AsJson = False,
) -> None:
    """Set how many shards run a status's step, on Ray or in local processes, while they run.

    On Ray the processes of the new shards start before the current shards stop. The count stays,
    whatever the code says, until it is set again or reset.
    """
    from workflow_ray.runtime.ray.control import find_running

    if (shards is None) != reset:
        raise InvalidInput("scale", "give either --shards N, or --reset for the count in the code")
    url = records_url(records)

    async def change() -> int:
        async with open_beside(url, SystemClock()) as store:
            statuses = {one.name: one.statuses for one in (await store.deployment()).workflows}
            numbers = statuses.get(workflow, {})
            if numbers and status not in numbers:
                raise InvalidInput(f"status {status!r}", f"{workflow!r} has {', '.join(numbers)}")
            number = numbers.get(status, 0)
            control = await find_running(records)
            prepare = control.prepare if control else None
            count = await change_shards(store, workflow, number, shards=shards, prepare=prepare)
        if control:
            await control.refresh()
        return count

    count = asyncio.run(change())
    place = place_of(url)
    if as_json:
        print_json(Scaled(records=place, workflow=workflow, status=status, shards=count))
    else:
        say(f"{workflow}.{status}: {count} {'shard' if count == 1 else 'shards'}, on {place}.")


def down(records: Records = None, as_json: AsJson = False) -> None:
    """Stop what runs on Ray for the records, after the running steps have finished.

    The records stay, and `run` or `deploy` continues with them. Processes that run workflows
    without Ray go on; SIGTERM stops them. Stops the Ray that was started on this machine for it,
    unless something else runs there.
    """
    from workflow_ray.runtime.ray.cluster import stop_unused_cluster
    from workflow_ray.runtime.ray.control import find_running

    async def stop() -> tuple[bool, ProcessStatus | None]:
        control = await find_running(records)
        if control:
            await control.down()
            return True, None
        return False, await process_status(records_url(records))

    was_running, process = asyncio.run(stop())
    ray_stopped = stop_unused_cluster()
    place = place_of(records_url(records))
    if as_json:
        print_json(Stopped(records=place, was_running=was_running, ray_stopped=ray_stopped))
        return
    ran = "Stopped what ran on Ray" if was_running else "Nothing ran on Ray"
    say(f"{ran} for {place}. The records stay.")
    if process:
        say(
            f"Process {process.pid} on {process.host} runs its workflows, and goes on."
            f" SIGTERM stops it: kill {process.pid}"
        )
    if ray_stopped:
        say("Stopped Ray on this machine.")
