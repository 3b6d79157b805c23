"""Declarations: what decorators were called with, before it is read and checked."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, NamedTuple, cast

from workflow_ray.definition.arguments import shown
from workflow_ray.definition.breaker import Breaker
from workflow_ray.definition.callables import name_of, plain_name_of
from workflow_ray.definition.durations import Duration
from workflow_ray.definition.flow import FlowControl
from workflow_ray.definition.function import AnyFunction
from workflow_ray.definition.handlers import Overlap
from workflow_ray.definition.ray_options import RayOptions
from workflow_ray.definition.retry import Retry
from workflow_ray.definition.run import Run, S
from workflow_ray.definition.status import Status
from workflow_ray.records import RunState

NAMED_LIKE = "its name is that of the"


class Claim(NamedTuple):
    """What one declaration has, and no other may have."""

    key: tuple[object, ...]
    has: str  # comes before the declaration that has it
    way_out: str


def named(value: object) -> str:
    """Format a status, or what was given in its place, for the text of a mistake."""
    return str(value) if isinstance(value, Status) else shown(value)


def is_function(value: object) -> bool:
    """Whether a function stands where an argument should: the decorator has no parentheses."""
    return callable(value) and not isinstance(value, Status | type)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration(ABC):
    """A function as it was declared."""

    noun: ClassVar[str]
    leading: ClassVar[tuple[str, ...]]  # what it takes, before resources

    function: AnyFunction
    where: str  # file:line
    scope: Mapping[str, object]  # the local names at its place, for its annotations

    @property
    def name(self) -> str:
        return plain_name_of(self.function)

    @property
    def title(self) -> str:
        """How mistakes name it."""
        return f"{self.noun} {self.name}"

    @property
    def place(self) -> str:
        """How a mistake begins."""
        return f"{self.where}: {self.title}"

    @abstractmethod
    def claim(self) -> Claim:
        """What no other declaration of the workflow may have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDeclaration(Declaration, Generic[S]):
    """A function that is called with a run, and returns where it goes on."""

    usage: ClassVar[str]  # the call of the decorator, with the status left open

    statuses: tuple[S, ...]
    retry: Retry
    on_failure: S | None = None
    timeout: Duration | None

    @property
    def is_bare(self) -> bool:
        """Whether the decorator was written without parentheses, so that its argument is the
        function.
        """
        return any(cast(object, status) is self.function for status in self.statuses)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDeclaration(RunDeclaration[S]):
    """The arguments of `.step`."""

    noun = "step"
    leading = ("the run",)
    usage = ".step({})"

    shards: int
    max_in_flight: int
    ray: RayOptions | None
    breaker: Breaker | None
    transactional: bool = False
    flow: FlowControl[Any, S] | None = None

    @property
    def name(self) -> str:
        return name_of(self.function)

    def claim(self) -> Claim:
        (status,) = self.statuses
        way_out = "a status has one step, so take one of them out"
        return Claim(("step", status), f"{named(status)} has the", way_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStepDeclaration(StepDeclaration[S]):
    """The arguments of `.batch_step`."""

    noun = "batch step"
    leading = ("the list of runs",)
    usage = ".batch_step({})"

    max_batch: int
    max_wait: Duration
    max_batches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackDeclaration(RunDeclaration[S]):
    """The arguments of `.callback`."""

    noun = "callback"
    leading = ("the run", "the message")
    usage = ".callback({})"

    early: Duration

    def claim(self) -> Claim:
        way_out = "rename one of them, or name all statuses in one `.callback`"
        return Claim(("name", self.name), NAMED_LIKE, way_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutDeclaration(RunDeclaration[S]):
    """The arguments of `.timeout`."""

    noun = "timeout"
    leading = ("the run",)
    usage = ".timeout({}, after=...)"

    after: Duration | None
    at: Callable[[Run[Any, S]], datetime] | None

    def claim(self) -> Claim:
        return Claim(("name", self.name), NAMED_LIKE, "rename one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildDeclaration(RunDeclaration[S]):
    """The arguments of `.child`."""

    noun = "child function"
    leading = ("the run", "the child")
    usage = ".child({}, ...)"

    child: Any  # a workflow

    def claim(self) -> Claim:
        (status,) = self.statuses
        has = f"{named(status)} has for {shown(self.child)} the"
        key = (self.noun, status, str(getattr(self.child, "name", None)))
        return Claim(key, has, "take one of them out")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildrenDeclaration(ChildDeclaration[S]):
    """The arguments of `.children`."""

    noun = "children function"
    leading = ("the run", "the children")
    usage = ".children({}, ...)"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDeclaration(Declaration):
    """A function whose decorator gives it a name."""

    label: str

    @property
    def title(self) -> str:
        return f"{self.noun} {named(self.label)}"

    def claim(self) -> Claim:
        return Claim((self.noun, self.label), NAMED_LIKE, "rename one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorDeclaration(NamedDeclaration):
    """The arguments of `.connector`."""

    noun = "connector"
    leading = ("the client", "the event")

    source: Any  # a ConnectorSource
    shards: int
    retry: Retry
    ordered: bool
    ray: RayOptions | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDeclaration(NamedDeclaration):
    """The arguments of `.schedule`."""

    noun = "schedule"
    leading = ("the tick",)

    cron: str | None
    timezone: str | None
    every: Duration | None
    overlap: Overlap
    catch_up: Duration
    jitter: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class HookDeclaration(Declaration):
    """The arguments of `.on_pause`, `.on_cancel` or `.on_complete`."""

    noun = "hook"
    leading = ("the run",)

    run_state: RunState
    retry: Retry

    def claim(self) -> Claim:
        key = ("hook", self.run_state, self.name)
        return Claim(key, NAMED_LIKE, "rename one of them, or take it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubDeclaration(Declaration):
    """The arguments of `.scrub`."""

    noun = "scrubber"
    leading = ("the run",)

    retry: Retry

    def claim(self) -> Claim:
        return Claim(("scrubber",), "the workflow has the", "take one of them out")


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationDeclaration(Declaration):
    """The arguments of `.migrate`."""

    noun = "migration"
    leading = ("the data",)

    version: int  # the earlier one

    def claim(self) -> Claim:
        has = f"version {named(self.version)} has the"
        return Claim((self.noun, self.version), has, "take one of them out")
