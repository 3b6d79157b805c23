"""Errors of the data of runs: it can't be read."""

from workflow_ray.errors.base import WorkflowError


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


class EncodedData(UnreadableData):
    """What a codec has encoded can't be decoded here. `run_id` "": it belongs to no run."""

    def __str__(self) -> str:
        what = f"the data of run {self.run_id}" if self.run_id else "an event set aside"
        return (
            f"{what} of {self.workflow!r} can't be read: {self.why}. If this process lacks a"
            " codec or a key, read it in a program that has the definition and all its keys, or on"
            " the command line with --decode."
        )


class EncryptionKeyMissing(WorkflowError):
    """A key of an encryption is missing in this process. `name` None: it has no key at all."""

    exit_code = 2

    def __init__(self, name: str | None) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        which = "no key" if self.name is None else f"no key {self.name!r}"
        return (
            f"the encryption has {which} in this process. Give it all keys that other processes"
            " use, in the environment variable or the file that its keys are read from."
        )


class NewerData(UnreadableData):
    """A run's data was written by newer code, with a later version of its workflow's model."""

    def __init__(self, workflow: str, run_id: str, stored: int, known: int) -> None:
        super().__init__(workflow, run_id, newer_text(stored, known))
        self.args = (workflow, run_id, stored, known)
        self.stored = stored
        self.known = known

    def __str__(self) -> str:
        return (
            f"run {self.run_id} of {self.workflow!r}: {self.why}. Update this program's code to the"
            " one that is deployed."
        )


def newer_text(stored: int, known: int) -> str:
    """Say that data is of a later version than the code."""
    return f"its data is of version {stored}, and this code knows version {known}"


class DataDeleted(UnreadableData):
    """The run's data was deleted by `delete_data`, and its workflow kept nothing of it."""

    def __init__(self, workflow: str, run_id: str) -> None:
        WorkflowError.__init__(self, workflow, run_id)
        self.workflow = workflow
        self.run_id = run_id
        self.why = "it was deleted"

    def __str__(self) -> str:
        return (
            f"the data of run {self.run_id} was deleted, and {self.workflow!r} keeps nothing of it;"
            " read its run_state first, or declare a scrubber that returns what is to be kept"
        )
