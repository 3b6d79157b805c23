"""Errors of callbacks."""

from workflow_ray.errors.base import WorkflowError
from workflow_ray.errors.runs import InvalidInput


class InvalidMessage(InvalidInput):
    """A callback's message does not fit its type. Nothing was written.

    Args:
        callback: The callback's name.
        why: What does not fit. It never shows the message's values.
        stands: Where the run stands, such as "AWAITING_PAYMENT, RUNNING". None: the run does
            not exist, or the store did not tell.
    """

    def __init__(self, callback: str, why: str, stands: str | None) -> None:
        super().__init__(f"the message of callback {callback!r}", why)
        self.args = (callback, why, stands)
        self.callback = callback
        self.stands = stands

    def __str__(self) -> str:
        text = f"{self.what}: {self.why.removesuffix('.')}."
        return text if self.stands is None else f"{text} The run is at {self.stands}."


class CallbackError(WorkflowError):
    """A callback has not moved its run.

    Args:
        workflow: The workflow's name.
        run_id: The run.
        callback: The callback's name.
        stands: Where the run stands, such as "AWAITING_PAYMENT, RUNNING".
        version: The run's version there.
        why: What the error is about, such as the statuses that accept the callback.
    """

    exit_code = 4

    def __init__(
        self, workflow: str, run_id: str, callback: str, stands: str, version: int, why: str
    ) -> None:
        super().__init__(workflow, run_id, callback, stands, version, why)
        self.workflow = workflow
        self.run_id = run_id
        self.callback = callback
        self.stands = stands
        self.version = version
        self.why = why

    def __str__(self) -> str:
        return (
            f"callback {self.callback!r} has not moved run {self.run_id} of {self.workflow!r},"
            f" which is at {self.stands} (version {self.version}): {self.why.removesuffix('.')}."
        )


class CallbackTooEarly(CallbackError):
    """The run is not yet at a status that accepts the callback, but can still come there. Nothing
    was written.
    """


class CallbackTooLate(CallbackError):
    """The run is not, or no longer, at a status that accepts the callback, and won't come there.

    Another transition may have been faster than the callback's function.
    """


class CallbackExpired(CallbackError):
    """The callback was too early, and was kept as long as `early=` says. The run did not come to a
    status that accepts it within that time.
    """


class CallbackFailed(CallbackError):
    """The callback's function has failed for good. `why` is its error."""


class RunFinished(CallbackError):
    """The run is finished, so that it takes no callback. Nothing was written."""
