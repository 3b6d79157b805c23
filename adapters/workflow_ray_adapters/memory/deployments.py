"""What should run."""

from collections.abc import Mapping, Sequence

from workflow_ray.errors import DeploymentConflict, PartitionsChanged, StatusRenumbered
from workflow_ray.records import DeployedWorkflow, Deployment


class Deployments:
    """What should run, and the statuses and partitions of each workflow that was ever deployed."""

    def __init__(self, store_id: str) -> None:
        self.current = Deployment(store_id=store_id)
        self._partitions: dict[str, int] = {}
        self._statuses: dict[str, dict[str, int]] = {}
        self.shards: Mapping[str, int] = {}
        """How many share the work of each group that is deployed."""

    def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> set[str]:
        """Make the workflows what should run, and return the groups that this fences off.

        These are the groups whose shard count has changed, and those that are retired.
        """
        if expected != self.current.version:
            raise DeploymentConflict(expected, self.current.version)
        for workflow in workflows:
            self._check(workflow)
        for workflow in workflows:
            self._partitions[workflow.name] = workflow.partitions
            self._statuses.setdefault(workflow.name, {}).update(workflow.statuses)
        before, self.shards = (
            self.shards,
            {group: workflow.shards(group) for workflow in workflows for group in workflow.groups},
        )
        self.current = Deployment(
            store_id=self.current.store_id, version=expected + 1, workflows=tuple(workflows)
        )
        return {group for group, shards in before.items() if self.shards.get(group) != shards}

    def _check(self, workflow: DeployedWorkflow) -> None:
        partitions = self._partitions.get(workflow.name, workflow.partitions)
        if partitions != workflow.partitions:
            raise PartitionsChanged(workflow.name, partitions, workflow.partitions)
        stored = self._statuses.get(workflow.name, {})
        for name, number in workflow.statuses.items():
            if stored.get(name, number) != number:
                raise StatusRenumbered(workflow.name, name, stored[name], number)
