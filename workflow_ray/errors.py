"""Every error that a user or a role can meet. Each says what was wrong, where, and what to do, in
one line.

The constructor's arguments are the error's fields, all of them positional: errors cross processes,
and pickle calls cls(*args).
"""

from collections.abc import Sequence
from typing import ClassVar


class WorkflowError(Exception):
    """The root of the tree."""

    exit_code: ClassVar[int] = 1  # of the command line
    transient: ClassVar[bool] = False
    """Whether it may pass by itself: whoever may repeat the call, with the same ids, does so.

    See `ports.persist`.
    """


# --- definitions --------------------------------------------------------------------------------


class InvalidDefinition(WorkflowError):
    """A workflow's definition has mistakes: all of them, each with its file, line and way out."""

    exit_code = 2

    def __init__(self, workflow: str, mistakes: Sequence[str]) -> None:
        super().__init__(workflow, list(mistakes))
        self.workflow = workflow
        self.mistakes = list(mistakes)

    def __str__(self) -> str:
        count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
        return "\n  ".join([f"workflow {self.workflow!r} has {count}:", *self.mistakes])


class NotImportable(WorkflowError):
    """A definition can't be reached by other processes, or a reference names none."""

    exit_code = 2

    def __init__(self, reference: str, why: str) -> None:
        super().__init__(reference, why)
        self.reference = reference
        self.why = why

    def __str__(self) -> str:
        return f"{self.reference}: {self.why}"


class StatusRenumbered(WorkflowError):
    """A status has another number than the one it was first deployed with."""

    exit_code = 2

    def __init__(self, workflow: str, status: str, stored: int, found: int) -> None:
        super().__init__(workflow, status, stored, found)
        self.workflow = workflow
        self.status = status
        self.stored = stored
        self.found = found

    def __str__(self) -> str:
        where = (
            f"{self.workflow}.{self.status} is {self.found} in the code and {self.stored} in this"
            " deployment's records."
        )
        return (
            f"{where} Put back {self.status} = {self.stored}; a new status takes a number of its"
            " own."
        )


class PartitionsChanged(WorkflowError):
    """A workflow has another number of partitions than the one it was first deployed with."""

    exit_code = 2

    def __init__(self, workflow: str, stored: int, found: int) -> None:
        super().__init__(workflow, stored, found)
        self.workflow = workflow
        self.stored = stored
        self.found = found

    def __str__(self) -> str:
        where = (
            f"workflow {self.workflow!r} has partitions={self.found} in the code and {self.stored}"
            " in this deployment's records."
        )
        return (
            f"{where} The number is fixed at the first deploy: put back partitions={self.stored}."
        )


class DuplicateWorkflow(WorkflowError):
    """Two workflows of one program have the same name.

    Each place is "module:attribute (file:line)".
    """

    exit_code = 2

    def __init__(self, workflow: str, first: str, second: str) -> None:
        super().__init__(workflow, first, second)
        self.workflow = workflow
        self.first = first
        self.second = second

    def __str__(self) -> str:
        return (
            f"two workflows have the name {self.workflow!r}: {self.first} and {self.second}. Give"
            " one of them another name."
        )


class WorkflowNameTaken(WorkflowError):
    """Another definition is deployed under the workflow's name. Nothing was written."""

    exit_code = 2

    def __init__(self, workflow: str, deployed: str, found: str) -> None:
        super().__init__(workflow, deployed, found)
        self.workflow = workflow
        self.deployed = deployed
        self.found = found

    def __str__(self) -> str:
        what = (
            f"workflow {self.workflow!r} is deployed here from {self.deployed}, and this is"
            f" {self.found}."
        )
        way_out = (
            "Give one of them another name, or its own records; if it is the same workflow, moved"
            " or renamed"
        )
        return f"{what} {way_out}: --replace, in a program replace=True."


class DefinitionSuperseded(WorkflowError):
    """The workflow's code was deployed before, and other code has replaced it since.

    Nothing was written.
    """

    exit_code = 2

    def __init__(self, workflow: str, found: str, deploys_ago: int) -> None:
        super().__init__(workflow, found, deploys_ago)
        self.workflow = workflow
        self.found = found
        self.deploys_ago = deploys_ago

    def __str__(self) -> str:
        ago = "one deploy ago" if self.deploys_ago == 1 else f"{self.deploys_ago} deploys ago"
        what = (
            f"workflow {self.workflow!r}: the code of {self.found} was deployed before, and"
            f" replaced by other code {ago}."
        )
        return (
            f"{what} Update it; to go back to it on purpose: --rollback, in a program"
            " rollback=True."
        )


class UnknownWorkflow(WorkflowError):
    """The deployment has no such workflow."""

    exit_code = 2

    def __init__(self, workflow: str, known: Sequence[str]) -> None:
        super().__init__(workflow, list(known))
        self.workflow = workflow
        self.known = list(known)

    def __str__(self) -> str:
        if self.workflow in self.known:
            return (
                f"this is not the workflow {self.workflow!r} that runs here, but another of that"
                " name. Use the one that the runtime has."
            )
        known = ", ".join(self.known) or "none"
        return (
            f"workflow {self.workflow!r} is not deployed here (deployed: {known}). Deploy it first:"
            " `workflow-ray deploy`."
        )


# --- stores -------------------------------------------------------------------------------------


class StoreError(WorkflowError):
    """A store can't be used as asked. `where` never holds a password."""

    exit_code = 5

    def __init__(self, where: str, why: str) -> None:
        super().__init__(where, why)
        self.where = where
        self.why = why

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


class StoreUnavailable(StoreError):
    """The store didn't answer. The outcome is unknown; repeating with the same ids is safe."""

    transient = True


class StoreBusy(StoreError):
    """The store's queue of writes is full. Nothing was written; try again in a moment."""

    transient = True


class StoreMissing(StoreError):
    """There is no such store: nothing was deployed there yet."""


class NotAStore(StoreError):
    """Something is there, but it isn't a store of workflow_ray."""


class StoreTooNew(StoreError):
    """The store's schema asks for newer code."""


class StoreReadOnly(StoreError):
    """The store can be read but not written, as a server during a failover. Nothing was written."""

    transient = True


class StoreFull(StoreError):
    """There is no room for the write. Nothing of it was stored."""

    transient = True


class StoreInUse(StoreError):
    """Another process holds the store, and doesn't share it."""


class StoreMismatch(StoreError):
    """The store there is not the one that this deployment was made on."""


class AccessDenied(StoreError):
    """The server refuses the user or the password."""


class TopicMismatch(StoreError):
    """A topic is there with another number of partitions than its workflow has."""


class SendFailed(StoreUnavailable):
    """Of some topics and partitions it is unknown whether they have the events sent to them; all
    others do.
    """

    def __init__(self, where: str, why: str, topic_partitions: Sequence[tuple[str, int]]) -> None:
        super().__init__(where, why)
        self.topic_partitions = [(topic, partition) for topic, partition in topic_partitions]
        self.args = (where, why, self.topic_partitions)


class AdapterNotInstalled(WorkflowError):
    """An adapter of ours lacks what it needs."""

    exit_code = 2

    def __init__(self, scheme: str, extra: str, why: str) -> None:
        super().__init__(scheme, extra, why)
        self.scheme = scheme
        self.extra = extra
        self.why = why

    def __str__(self) -> str:
        return (
            f"{self.scheme}: its adapter isn't installed ({self.why}). Install it: pip install"
            f" 'workflow-ray[{self.extra}]'"
        )


class UnfitAdapter(WorkflowError):
    """A scheme's adapter holds something else than what its URL was given for."""

    exit_code = 2

    def __init__(self, scheme: str, what: str) -> None:
        super().__init__(scheme, what)
        self.scheme = scheme
        self.what = what

    def __str__(self) -> str:
        return f"{self.scheme}: it holds no {self.what}. Name another URL for the {self.what}."


class UnknownScheme(WorkflowError):
    """No adapter answers to the scheme of a URL."""

    exit_code = 2

    def __init__(self, scheme: str, known: Sequence[str]) -> None:
        super().__init__(scheme, list(known))
        self.scheme = scheme
        self.known = list(known)

    def __str__(self) -> str:
        known = (
            "Known, each with the extra that brings it, as in pip install 'workflow-ray[kafka]':"
            f" {', '.join(self.known)}."
        )
        return f"no adapter for {self.scheme!r}. {known}"


class WriteRejected(WorkflowError):
    """The store can't hold this write, now or later. Nothing of its group was stored."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why

    def __str__(self) -> str:
        return f"the store rejects the write: {self.why}"


class DeploymentConflict(WorkflowError):
    """Somebody else changed the deployment meanwhile. Read it again and repeat."""

    def __init__(self, expected: int, found: int) -> None:
        super().__init__(expected, found)
        self.expected = expected
        self.found = found

    def __str__(self) -> str:
        return (
            f"the deployment is at version {self.found}, not {self.expected}: someone else changed"
            " it meanwhile. Try again."
        )


# --- roles --------------------------------------------------------------------------------------


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
    """A resource of a step did not open, or closed before its time, in a way that is no ordinary
    error.
    """

    def __init__(self, step: str, why: str) -> None:
        super().__init__(step, why)
        self.step = step
        self.why = why

    def __str__(self) -> str:
        return (
            f"a resource of step {self.step} failed: {self.why}. Have it raise an Exception, and"
            " neither cancel its task nor exit."
        )


# --- runs ---------------------------------------------------------------------------------------


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
    """There is no such run. `workflow` None: in no workflow."""

    exit_code = 3

    def __init__(self, workflow: str | None, key: str) -> None:
        super().__init__(workflow, key)
        self.workflow = workflow
        self.key = key

    def __str__(self) -> str:
        return (
            f"there is no run {self.key!r}."
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


class UnreadableData(WorkflowError):
    """A run's data can't be read as its workflow's model."""

    def __init__(self, workflow: str, run_id: str, why: str) -> None:
        super().__init__(workflow, run_id, why)
        self.workflow = workflow
        self.run_id = run_id
        self.why = why

    def __str__(self) -> str:
        return (
            f"the data of run {self.run_id} doesn't fit the model of {self.workflow!r}: {self.why}"
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
        return f'{where} Wait for its end, or pass if_active="join" to get that run.'


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
        return f"run {self.run_id} is paused at {self.status} by an error: {self.error}. {way_out}"


class ControlRefused(WorkflowError):
    """A run that can't be paused, resumed, retried or cancelled as it stands.

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
    """The time given to a wait is over. Shows the last entries of the run's history."""

    exit_code = 4

    def __init__(self, run_id: str, wanted: str, seconds: float, history: Sequence[str]) -> None:
        super().__init__()
        # handed to TimeoutError, an OSError, two of them would get lost
        self.args = (run_id, wanted, seconds, list(history))
        self.run_id = run_id
        self.wanted = wanted
        self.seconds = seconds
        self.history = list(history)

    def __str__(self) -> str:
        tail = "; ".join(self.history) or "none"
        return (
            f"run {self.run_id} didn't get to {self.wanted} within {self.seconds:g} s. Its last"
            f" history: {tail}."
        )


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


# --- runtimes -----------------------------------------------------------------------------------


class RuntimeUnavailable(WorkflowError):
    """Ray, or the deployment on it, can't be reached or doesn't come up."""

    exit_code = 5

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"
