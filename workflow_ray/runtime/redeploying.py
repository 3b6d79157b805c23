"""What a deploy does for the runs of the code that it replaces."""

import logging
from collections.abc import Mapping, Sequence

from workflow_ray.errors import DeployStrandsRuns
from workflow_ray.errors.deploys import StrandedRuns
from workflow_ray.ports import RecordStore
from workflow_ray.records import DeployedWorkflow, Deployment
from workflow_ray.runtime.hosting import AnyWorkflow
from workflow_ray.runtime.moving import start_moves
from workflow_ray.runtime.stranding import find_stranded

log = logging.getLogger(__name__)


class Redeploy:
    """Refuses deploys after which runs could not go on, and has runs moved.

    Args:
        records: Where the runs are.
        definitions: The workflows that are deployed. Without its definition, no run of a workflow
            is read, and none is moved.
        strand: Only warn of runs that could not go on.
    """

    def __init__(
        self, records: RecordStore, definitions: Sequence[AnyWorkflow], *, strand: bool
    ) -> None:
        self._records = records
        self._definitions = {definition.name: definition for definition in definitions}
        self._strand = strand
        self._warned: list[StrandedRuns] = []

    async def check(
        self, before: Mapping[str, DeployedWorkflow], after: Mapping[str, DeployedWorkflow]
    ) -> None:
        """Look for runs that could not go on. Code that is deployed already needs no look.

        Raises:
            DeployStrandsRuns: There are some, and they are not to be stranded.
        """
        found: list[StrandedRuns] = []
        for name in before.keys() & after.keys():
            if is_changed(before[name], after[name]):
                definition = self._definitions.get(name)
                found += await find_stranded(self._records, before[name], after[name], definition)
        if found and not self._strand:
            raise DeployStrandsRuns(found)
        self._warned = found

    async def finish(self, deployment: Deployment, described: Sequence[DeployedWorkflow]) -> None:
        """Warn of runs that are stranded now, and start the moves that the definitions ask for.

        Args:
            deployment: What should run now.
            described: The workflows as this program has them. Older code moves no runs.
        """
        codes = {workflow.name: workflow.code for workflow in described}
        for finding in self._warned:
            where = {"workflow": finding.workflow}
            log.warning("workflow %r: %s", finding.workflow, finding, extra=where)
        for deployed in deployment.workflows:
            definition = self._definitions.get(deployed.name)
            is_current = deployed.code == codes.get(deployed.name)
            if definition is not None and definition.moved and is_current:
                await start_moves(self._records, deployed, definition)


def is_changed(before: DeployedWorkflow, after: DeployedWorkflow) -> bool:
    """Whether the code may be other code than the deployed one."""
    return after.code != before.code or not after.code or after.shape != before.shape
