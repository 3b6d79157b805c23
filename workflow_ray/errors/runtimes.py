"""Errors of runtimes."""

from workflow_ray.errors.base import WorkflowError


class RuntimeUnavailable(WorkflowError):
    """Ray, or the deployment on it, can't be reached or doesn't come up."""

    exit_code = 5

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"
