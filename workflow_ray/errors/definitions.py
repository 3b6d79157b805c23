"""Errors of definitions and deployments."""

from collections.abc import Mapping, Sequence

from workflow_ray.errors.base import WorkflowError


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
        way_out = "Name one of these, or deploy it first" if self.known else "Deploy it first"
        return (
            f"workflow {self.workflow!r} is not deployed here (deployed: {known}). {way_out}:"
            " `workflow-ray deploy`."
        )


class RunsUnfinished(WorkflowError):
    """A workflow that is to be removed from the deployment has unfinished runs.

    `unfinished`: how many of them are in which run state. Nothing was written.
    """

    exit_code = 4

    def __init__(self, workflow: str, unfinished: Mapping[str, int]) -> None:
        super().__init__(workflow, dict(unfinished))
        self.workflow = workflow
        self.unfinished = dict(unfinished)

    def __str__(self) -> str:
        total = sum(self.unfinished.values())
        runs = "1 unfinished run" if total == 1 else f"{total} unfinished runs"
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.unfinished.items()))
        return (
            f"workflow {self.workflow!r} has {runs} ({states}). Wait for their end, or cancel them:"
            f" `workflow-ray runs cancel --workflow {self.workflow} --reason WHY`. To remove it all"
            " the same: --force, in a program force=True; its runs go on once it is deployed again."
        )
