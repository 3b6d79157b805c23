"""What should run, and who holds which role."""

from collections.abc import Sequence

from workflow_ray.errors import DeploymentConflict, PartitionsChanged, RoleLost, RoleRetired, StatusRenumbered
from workflow_ray.records import DeployedWorkflow, Deployment, Fence, Role, RoleName, Taken


class Deployments:
    """The target, and for good: each workflow's partitions and the numbers of its statuses."""

    def __init__(self, store_id: str) -> None:
        self.current = Deployment(store_id=store_id)
        self._partitions: dict[str, int] = {}
        self._statuses: dict[str, dict[str, int]] = {}
        self._shards: dict[str, int] = {}

    def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        if expected != self.current.version:
            raise DeploymentConflict(expected, self.current.version)
        for workflow in workflows:
            self._check(workflow)
        for workflow in workflows:
            self._partitions[workflow.name] = workflow.partitions
            self._statuses.setdefault(workflow.name, {}).update(workflow.statuses)
        self._shards = {group: shards for workflow in workflows for group, shards in workflow.groups.items()}
        self.current = Deployment(store_id=self.current.store_id, version=expected + 1, workflows=tuple(workflows))
        return self.current

    def shards(self, group: str) -> int | None:
        """How many share the group's work; None: it isn't deployed."""
        return self._shards.get(group)

    def _check(self, workflow: DeployedWorkflow) -> None:
        partitions = self._partitions.get(workflow.name, workflow.partitions)
        if partitions != workflow.partitions:
            raise PartitionsChanged(workflow.name, partitions, workflow.partitions)
        stored = self._statuses.get(workflow.name, {})
        for name, number in workflow.statuses.items():
            if stored.get(name, number) != number:
                raise StatusRenumbered(workflow.name, name, stored[name], number)


class Fences:
    """The epoch of each role that was ever taken, and whether its holder left it with nothing in doubt."""

    def __init__(self) -> None:
        self._epochs: dict[RoleName, int] = {}
        self._in_doubt: set[RoleName] = set()

    def take(self, role: Role, shards: int | None) -> Taken:
        """shards: how many the role's group has by now."""
        if role.shards != shards:
            raise RoleRetired(role.name, shards)
        epoch = self._epochs[role.name] = self.epoch(role.name) + 1
        clean = role.name not in self._in_doubt
        self._in_doubt.add(role.name)
        return Taken(Fence(role.name, epoch), clean)

    def release(self, fence: Fence) -> None:
        if self.epoch(fence.role) == fence.epoch:
            self._in_doubt.discard(fence.role)

    def epoch(self, role: RoleName) -> int:
        """The newest; 0: nobody ever took the role."""
        return self._epochs.get(role, 0)

    def check(self, fence: Fence) -> None:
        """Raises RoleLost."""
        if self.epoch(fence.role) != fence.epoch:
            raise RoleLost(fence.role, fence.epoch, self.epoch(fence.role))
