"""Errors of schedules."""

from collections.abc import Sequence

from workflow_ray.errors.base import WorkflowError


class UnknownSchedule(WorkflowError):
    """The workflow has no such schedule, in the code or where it is deployed."""

    exit_code = 2

    def __init__(self, workflow: str, schedule: str, known: Sequence[str]) -> None:
        super().__init__(workflow, schedule, list(known))
        self.workflow = workflow
        self.schedule = schedule
        self.known = list(known)

    def __str__(self) -> str:
        known = ", ".join(self.known) or "none"
        way_out = "Name one of these, or deploy" if self.known else "Deploy"
        return (
            f"workflow {self.workflow!r} has no schedule {self.schedule!r} (it has: {known})."
            f" {way_out} the code that has it: `workflow-ray deploy`."
        )


class ScheduleFailed(WorkflowError):
    """The function of a schedule raised an error when a client called it. Its tick has no run."""

    def __init__(self, workflow: str, schedule: str, tick: str, why: str) -> None:
        super().__init__(workflow, schedule, tick, why)
        self.workflow = workflow
        self.schedule = schedule
        self.tick = tick
        self.why = why

    def __str__(self) -> str:
        return (
            f"{self.workflow}: the function of schedule {self.schedule!r} failed for the tick"
            f" {self.tick}: {self.why}. Correct it, then ask again; earlier ticks keep their runs."
        )
