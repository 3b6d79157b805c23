"""Errors of stores, streams and their adapters."""

from collections.abc import Sequence

from workflow_ray.errors.base import WorkflowError


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
    """The store does not exist: nothing was deployed there yet."""


class NotAStore(StoreError):
    """Something is there, but it isn't a store of workflow_ray."""


class StoreTooNew(StoreError):
    """The store's schema asks for newer code."""


class StoreReadOnly(StoreError):
    """The store can be read but not written, as a server during a failover. Nothing was written."""

    transient = True


class StoreFull(StoreError):
    """The store has no room for the write. Nothing of it was stored."""

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
