"""Errors of dead letters."""

from workflow_ray.errors.base import WorkflowError


class DeadLetterNotFound(WorkflowError):
    """The workflow has no such dead letter. It may have been replayed or dropped."""

    exit_code = 3

    def __init__(self, workflow: str, letter_id: str) -> None:
        super().__init__(workflow, letter_id)
        self.workflow = workflow
        self.letter_id = letter_id

    def __str__(self) -> str:
        return (
            f"workflow {self.workflow!r} has no dead letter {self.letter_id!r}. It may have been"
            " replayed or dropped; `workflow-ray dead-letters list"
            f" {self.workflow}` shows those that wait."
        )


class DeadLetterIncomplete(WorkflowError):
    """The data of the dead letter's event was too large to be kept, so it can't be replayed."""

    exit_code = 2

    def __init__(self, workflow: str, letter_id: str, size: int) -> None:
        super().__init__(workflow, letter_id, size)
        self.workflow = workflow
        self.letter_id = letter_id
        self.size = size

    def __str__(self) -> str:
        return (
            f"dead letter {self.letter_id!r} of workflow {self.workflow!r} can't be replayed: the"
            f" {self.size} bytes of its event's data were too many to be kept. Write the event to"
            " its log again, and drop the dead letter."
        )
