"""`workflow-ray undeploy`: removes a workflow from what runs; its records stay."""

import asyncio
from typing import Annotated

import typer

from workflow_ray.cli.options import AsJson, Records
from workflow_ray.cli.output import print_json, say
from workflow_ray.cli.results import Undeployed
from workflow_ray.ports import SystemClock
from workflow_ray.records import DeployedWorkflow
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.hosting import own_groups
from workflow_ray.runtime.undeploying import undeploy as remove
from workflow_ray.runtime.urls import place_of, records_url

Name = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's name, e.g. orders.")]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Remove it although it has unfinished runs; they go on once it is deployed again.",
    ),
]


def undeploy(
    workflow: Name, records: Records = None, force: Force = False, as_json: AsJson = False
) -> None:
    """Remove a workflow from what runs on the records: on Ray, or in other processes.

    Its roles stop; its runs and their history stay. Its module is not imported and may be gone. The
    workflow runs again when it is deployed again, or when a worker starts with it. A workflow with
    unfinished runs is refused (see --force).
    """
    from workflow_ray.runtime.ray.control import find_running

    url = records_url(records)

    async def removed() -> None:
        undeployed = await _removed(url, workflow, force)
        if control := await find_running(records):
            await control.wait_for_end(own_groups(undeployed))

    asyncio.run(removed())
    place = place_of(url)
    if as_json:
        print_json(Undeployed(records=place, workflow=workflow))
    else:
        say(f"{workflow}: removed from what runs on {place}. Its records stay.")


async def _removed(url: str, workflow: str, force: bool) -> DeployedWorkflow:
    async with open_beside(url, SystemClock()) as store:
        return await remove(store, workflow, force=force)
