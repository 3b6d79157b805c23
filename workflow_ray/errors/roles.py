"""Errors that roles and their resources meet."""

from workflow_ray.errors.base import WorkflowError


class RoleLost(WorkflowError):
    """The role has a newer holder. This one must stop: none of its writes lands any more."""

    def __init__(self, role: str, held: int, current: int) -> None:
        super().__init__(role, held, current)
        self.role = role
        self.held = held
        self.current = current

    def __str__(self) -> str:
        return f"role {self.role} is held by epoch {self.current}; epoch {self.held} must stop."


class RoleRetired(WorkflowError):
    """The role's group has another number of shards by now.

    `current` None: the group isn't deployed.
    """

    def __init__(self, role: str, current: int | None) -> None:
        super().__init__(role, current)
        self.role = role
        self.current = current

    def __str__(self) -> str:
        now = "is not deployed" if self.current is None else f"has {self.current} shards by now"
        return f"role {self.role} can't be acquired: its group {now}."


class ResourceFailed(WorkflowError):
    """A resource of a step did not open, or closed too early, and the cause is not an Exception."""

    def __init__(self, step: str, why: str) -> None:
        super().__init__(step, why)
        self.step = step
        self.why = why

    def __str__(self) -> str:
        return (
            f"a resource of step {self.step} failed: {self.why}. Have it raise an Exception, and"
            " neither cancel its task nor exit."
        )
