"""Errors of flow control."""

from collections.abc import Sequence

from workflow_ray.errors.base import WorkflowError


class NoFlowControl(WorkflowError):
    """The status has no flow control where the workflow is deployed, so it has no limits to set."""

    exit_code = 2

    def __init__(self, workflow: str, status: str, known: Sequence[str]) -> None:
        super().__init__(workflow, status, list(known))
        self.workflow = workflow
        self.status = status
        self.known = list(known)

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        way_out = "Name one of these, or give" if self.known else "Give"
        return (
            f"workflow {self.workflow!r} has no flow control at {self.status} (statuses with it:"
            f" {known}). {way_out} its step `flow=FlowControl(...)` and deploy that."
        )
