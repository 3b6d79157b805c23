"""Errors of bulk jobs."""

from workflow_ray.errors.base import WorkflowError


class BulkNotDeployed(WorkflowError):
    """The workflow is deployed by code that has no role for bulk jobs, so no job would go on.

    Nothing was written.
    """

    exit_code = 2

    def __init__(self, workflow: str) -> None:
        super().__init__(workflow)
        self.workflow = workflow

    def __str__(self) -> str:
        return (
            f"workflow {self.workflow!r} was deployed by a version of workflow_ray that has no bulk"
            " jobs, so that no role would do this one. Start its worker again, or deploy it again:"
            " `workflow-ray deploy`."
        )


class BulkJobNotFound(WorkflowError):
    """The workflow has no such bulk job. It may have been dropped."""

    exit_code = 3

    def __init__(self, workflow: str, job_id: str) -> None:
        super().__init__(workflow, job_id)
        self.workflow = workflow
        self.job_id = job_id

    def __str__(self) -> str:
        return (
            f"workflow {self.workflow!r} has no bulk job {self.job_id!r}. It may have been dropped;"
            f" `workflow-ray bulk list {self.workflow}` shows those that are kept."
        )


class BulkJobRefused(WorkflowError):
    """The state of a bulk job does not allow what was asked. Nothing was written."""

    exit_code = 4

    def __init__(self, workflow: str, job_id: str, action: str, why: str) -> None:
        super().__init__(workflow, job_id, action, why)
        self.workflow = workflow
        self.job_id = job_id
        self.action = action
        self.why = why

    def __str__(self) -> str:
        return f"bulk job {self.job_id} of {self.workflow}: {self.action} is refused: {self.why}."


class BulkWaitTimeout(WorkflowError, TimeoutError):
    """The time given to a wait for the end of a bulk job is over. The job goes on."""

    exit_code = 4

    def __init__(self, workflow: str, job_id: str, seconds: float, progress: str) -> None:
        super().__init__()
        # handed to TimeoutError, an OSError, two of them would get lost
        self.args = (workflow, job_id, seconds, progress)
        self.workflow = workflow
        self.job_id = job_id
        self.seconds = seconds
        self.progress = progress

    def __str__(self) -> str:
        return (
            f"bulk job {self.job_id} of {self.workflow} didn't end within {self.seconds:g} s. It is"
            f" {self.progress}. Wait again, or abort it."
        )


class UnknownBulkAction(WorkflowError):
    """A bulk job has an action, or moves runs to a status, that the code of its role does not know.
    Only roles meet this error: newer code has started the job.
    """

    def __init__(self, workflow: str, job_id: str, action: str) -> None:
        super().__init__(workflow, job_id, action)
        self.workflow = workflow
        self.job_id = job_id
        self.action = action

    def __str__(self) -> str:
        return (
            f"bulk job {self.job_id} of {self.workflow} asks for {self.action!r}, which this code"
            " does not know. Update workflow_ray or the workflow here, or abort the job:"
            f" `workflow-ray bulk abort {self.workflow} {self.job_id}`."
        )
