"""Errors about runs: their input, their data, waits and controls."""

from collections.abc import Sequence

from workflow_ray.errors.base import WorkflowError


class InvalidInput(WorkflowError):
    """What the caller handed in can't be used. Nothing was written."""

    exit_code = 2

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


class RunNotFound(WorkflowError):
    """No run has this id or foreign id. `workflow` None: in no workflow."""

    exit_code = 3

    def __init__(self, workflow: str | None, key: str) -> None:
        super().__init__(workflow, key)
        self.workflow = workflow
        self.key = key

    def __str__(self) -> str:
        return (
            f"no run {self.key!r} exists."
            if self.workflow is None
            else f"workflow {self.workflow!r} has no run {self.key!r}."
        )


class AmbiguousRun(WorkflowError):
    """A text names several runs."""

    exit_code = 2

    def __init__(self, text: str, runs: Sequence[str]) -> None:
        super().__init__(text, list(runs))
        self.text = text
        self.runs = list(runs)

    def __str__(self) -> str:
        return (
            f"{self.text!r} names several runs: {'; '.join(self.runs)}. Give one run id, or"
            " --workflow."
        )


class UnknownStatus(WorkflowError):
    """A run stands, or stood, at a status that the code no longer has."""

    def __init__(self, workflow: str, run_id: str, status: int) -> None:
        super().__init__(workflow, run_id, status)
        self.workflow = workflow
        self.run_id = run_id
        self.status = status

    def __str__(self) -> str:
        return (
            f"run {self.run_id} of {self.workflow!r} is at status {self.status}, which its Status"
            " doesn't have. Put it back."
        )


class RunActive(WorkflowError):
    """The foreign id has an unfinished run already."""

    exit_code = 4

    def __init__(self, workflow: str, foreign_id: str, run_id: str) -> None:
        super().__init__(workflow, foreign_id, run_id)
        self.workflow = workflow
        self.foreign_id = foreign_id
        self.run_id = run_id

    def __str__(self) -> str:
        where = (
            f"workflow {self.workflow!r} has an unfinished run for {self.foreign_id!r}:"
            f" {self.run_id}."
        )
        return (
            f"{where} Wait for its end, use another foreign id, or trigger with"
            ' if_active="join" to get that run.'
        )


class KeyReused(WorkflowError):
    """An idempotency key was used for another trigger or callback before. Nothing was written.

    Args:
        workflow: The workflow's name.
        idempotency_key: The key.
        run_id: The run that the key was first used for.
        differing: Which arguments differ from the first ones. For a trigger of "foreign_id",
            "start_at" and "data" one or more; for a callback of "run", "callback" and "message".
    """

    exit_code = 4

    def __init__(
        self, workflow: str, idempotency_key: str, run_id: str, differing: Sequence[str]
    ) -> None:
        super().__init__(workflow, idempotency_key, run_id, list(differing))
        self.workflow = workflow
        self.idempotency_key = idempotency_key
        self.run_id = run_id
        self.differing = list(differing)

    def __str__(self) -> str:
        differing = " and ".join(
            "other data" if name == "data" else f"another {name}" for name in self.differing
        )
        return (
            f"workflow {self.workflow!r}: idempotency key {self.idempotency_key!r} was first used"
            f" for run {self.run_id}, with {differing}."
            " Repeat a call unchanged, or use another key for another one."
        )


class RunUnreachable(WorkflowError):
    """A wait for a status that the run can no longer get to."""

    exit_code = 4

    def __init__(self, run_id: str, wanted: str, why: str) -> None:
        super().__init__(run_id, wanted, why)
        self.run_id = run_id
        self.wanted = wanted
        self.why = why

    def __str__(self) -> str:
        return f"run {self.run_id} can't get to {self.wanted} any more: {self.why}."


class RunPaused(WorkflowError):
    """A wait for a run that an error has paused."""

    exit_code = 4

    def __init__(self, run_id: str, status: str, error: str) -> None:
        super().__init__(run_id, status, error)
        self.run_id = run_id
        self.status = status
        self.error = error

    def __str__(self) -> str:
        way_out = (
            "Mend the cause and call retry(), or `workflow-ray runs retry`; to wait on, pass"
            " through_errors=True."
        )
        error = self.error.removesuffix(".")
        return f"run {self.run_id} is paused at {self.status} by an error: {error}. {way_out}"


class ControlRefused(WorkflowError):
    """A run that can't be paused, resumed, retried, cancelled or moved as it stands.

    Nothing was written.
    """

    exit_code = 4

    def __init__(self, run_id: str, action: str, why: str) -> None:
        super().__init__(run_id, action, why)
        self.run_id = run_id
        self.action = action
        self.why = why

    def __str__(self) -> str:
        return f"run {self.run_id}: {self.action} is refused: {self.why}."


class WaitTimeout(WorkflowError, TimeoutError):
    """The time given to a wait is over. Shows the last entries of the run's history, and says so if
    no process runs the step that the run waits for.
    """

    exit_code = 4

    def __init__(
        self,
        run_id: str,
        wanted: str,
        seconds: float,
        history: Sequence[str],
        excuse: str = "",
    ) -> None:
        super().__init__()
        # handed to TimeoutError, an OSError, two of them would get lost
        self.args = (run_id, wanted, seconds, list(history), excuse)
        self.run_id = run_id
        self.wanted = wanted
        self.seconds = seconds
        self.history = list(history)
        self.excuse = excuse

    def __str__(self) -> str:
        tail = "; ".join(self.history) or "none"
        text = (
            f"run {self.run_id} didn't get to {self.wanted} within {self.seconds:g} s. Its last"
            f" history: {tail}."
        )
        return f"{text} {self.excuse[:1].upper()}{self.excuse[1:]}." if self.excuse else text


class NothingLeft(WorkflowError):
    """Under the fake clock: nothing can go on without time passing, so that the wait would never
    end.
    """

    def __init__(self, waiting_for: str, due: Sequence[str]) -> None:
        super().__init__(waiting_for, list(due))
        self.waiting_for = waiting_for
        self.due = list(due)

    def __str__(self) -> str:
        due = "; ".join(self.due) or "nothing is due, ever"
        return (
            f"waiting for {self.waiting_for}, but nothing goes on without time passing. Due: {due}."
            " Call `advance`."
        )
