"""What a program starts workflows with."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import BaseModel

from workflow_ray.client import Client
from workflow_ray.client.attendance import Attendance
from workflow_ray.client.inputs import checked_status, checked_workflow
from workflow_ray.definition import Status, Workflow, by_name, is_workflow
from workflow_ray.definition.arguments import checked_flag
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.errors import InvalidInput, RuntimeUnavailable, UnknownWorkflow, WorkflowError
from workflow_ray.ports import Clock, Store, SystemClock, transactions_of
from workflow_ray.runtime.deploy_terms import STRICT, DeployTerms
from workflow_ray.runtime.scaling import scale
from workflow_ray.runtime.serving import serve
from workflow_ray.runtime.undeploying import undeploy
from workflow_ray.runtime.urls import Place, Urls

if TYPE_CHECKING:
    from workflow_ray.runtime.local import LocalRuntime
    from workflow_ray.runtime.ray.deployment import RayRuntime

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)
T = TypeVar("T")

SERVING_DEADLINE = timedelta(seconds=25)
"""Less than the 30 seconds after which Kubernetes kills a container that it has told to stop."""


class Runtime(ABC):
    """Runs workflows: `async with` deploys them and runs their roles. See `local` and `ray`."""

    def __init__(
        self,
        workflows: Sequence[Workflow[Any, Any]],
        urls: Urls,
        clock: Clock | None = None,
        *,
        terms: DeployTerms = STRICT,
    ) -> None:
        self._workflows = by_name(workflows)
        self.urls = urls
        self._terms = terms
        self._clock = clock or SystemClock()
        self._store: Store | None = None  # while the runtime is entered
        self._is_serving = False

    @staticmethod
    def local(
        *workflows: Workflow[Any, Any],
        records: Place | None = None,
        events: str | None = None,
        timeouts: str | None = None,
        rollback: bool = False,
        replace: bool = False,
        strand: bool = False,
    ) -> "LocalRuntime":
        """Make a runtime whose roles are tasks of this process, until the `async with` ends.
        Unfinished runs go on the next time.

        Several processes that run the same workflows on one server share the roles. If one of them
        dies, or is suspended, the others take over its roles within about 10 seconds. Embedded
        records (SQLite, memory) are used by one process at a time.

        During a rolling upgrade the processes have different code for a while. Each of them runs
        the roles that it has steps for, with the shard counts of the newest deployment. A process
        whose code was replaced since it was deployed joins the others with a warning, and deploys
        nothing.

        Args:
            workflows: Each has a name of its own.
            records: URL of the store, or the path of a SQLite file, which is made if it does not
                exist. Default: WORKFLOW_RAY_RECORDS, else sqlite:///workflow.db.
            events: URL of the events' store. Default: WORKFLOW_RAY_EVENTS, else as `records`.
            timeouts: URL of the timeouts' store. Default: WORKFLOW_RAY_TIMEOUTS, else as `records`.
            rollback: Deploy code again that was replaced since it was deployed.
            replace: Replace another definition ("module:attribute") that is deployed under a
                workflow's name, because the workflow was moved or renamed.
            strand: Deploy although unfinished runs can't go on with this code, because of their
                status or data. Without it that is refused: DeployStrandsRuns.

        Raises:
            DuplicateWorkflow: Two of the workflows have one name.
            InvalidInput: An argument can't be used.
            WorkflowError: When entered: InvalidDefinition, WorkflowNameTaken, StatusRenumbered,
                DeployStrandsRuns, StoreInUse, UnknownScheme and the like. Nothing runs then.
        """
        from workflow_ray.runtime.local import LocalRuntime

        return LocalRuntime(
            workflows,
            Urls.of(records, events, timeouts),
            terms=DeployTerms(rollback, replace, strand),
        )

    @staticmethod
    def ray(
        *workflows: Workflow[Any, Any],
        records: Place | None = None,
        events: str | None = None,
        timeouts: str | None = None,
        address: str | None = None,
        namespace: str | None = None,
        restart: bool = False,
        rollback: bool = False,
        replace: bool = False,
        strand: bool = False,
    ) -> "RayRuntime":
        """Make a runtime whose roles are named, detached actors on Ray. They go on when the
        `async with` ends; entering it again finds them.

        Entering it deploys the workflows: the roles of workflows whose code has changed are
        restarted, and the others go on. `changes` says which. A workflow's code is its module and
        the modules that it imports from its own folder.

        Args:
            workflows: Each has a name of its own.
            records: As for `local`. The caller's node must reach a server.
            events: Likewise.
            timeouts: Likewise.
            address: Of the Ray cluster. Default: RAY_ADDRESS, else a cluster of its own on this
                machine.
            namespace: Of the actors on Ray. Default: one that belongs to the records.
            restart: Restart the roles of these workflows although their code hasn't changed.
            rollback: As for `local`. Without it older code is refused: DefinitionSuperseded.
            replace: As for `local`.
            strand: As for `local`.

        Raises:
            DuplicateWorkflow: Two of the workflows have one name.
            InvalidInput: An argument can't be used.
            WorkflowError: When entered: what `local` raises, DefinitionSuperseded, NotImportable,
                RuntimeUnavailable.
        """
        from workflow_ray.runtime.ray.deployment import RayRuntime

        return RayRuntime(
            workflows,
            Urls.of(records, events, timeouts),
            address=address,
            namespace=namespace,
            restart=restart,
            terms=DeployTerms(rollback, replace, strand),
        )

    def client(self, workflow: Workflow[D, S]) -> Client[D, S]:
        """Return a client of one of the workflows that this runtime was made with.

        Raises:
            UnknownWorkflow: It isn't one of this runtime's.
            RuntimeUnavailable: See `store`.
        """
        self._check_known(workflow)
        store, clock = self.store, self._clock
        attendance = Attendance(workflow, store, self.urls.places.records)
        joined = transactions_of(self.urls.records, clock=clock, store_id=store.store_id)
        return Client(workflow, store, clock, attendance=attendance, transactions=joined)

    async def scale(self, workflow: Workflow[D, S], status: S, *, shards: int | None) -> int:
        """Set the shard count of a status's step while it runs. It holds until it is set again.

        Args:
            workflow: One that this runtime was made with.
            status: One that has a step.
            shards: From 1 to the workflow's partitions. None: the count in the code.

        Returns:
            The count that holds now.

        Raises:
            UnknownWorkflow: It isn't one of this runtime's.
            InvalidInput: Nothing was changed.
            RuntimeUnavailable: See `store`.
        """
        self._check_known(workflow)
        number: int = checked_status("status", workflow, status).value
        return await scale(self.store, workflow.name, number, shards=shards, clock=self._clock)

    async def undeploy(self, workflow: Workflow[Any, Any] | str, *, force: bool = False) -> None:
        """Remove a workflow from the deployment. Its roles stop in all processes; its runs and
        their history stay.

        Steps that are running get a second to finish. If the workflow is deployed again, the others
        run again, and no attempt is counted. Entering a runtime with the workflow deploys it again;
        its shard counts are then those of the code.

        Args:
            workflow: One that this runtime was made with, or the name of any workflow that is
                deployed on the same records. Its module need not exist any more.
            force: Remove it although it has unfinished runs. These do not go on until it is
                deployed again.

        Raises:
            UnknownWorkflow: It is not deployed.
            RunsUnfinished: See `force`. Nothing was changed.
            RuntimeUnavailable: See `store`.
        """
        await self._undeploy(self._name_of(workflow), checked_flag("force", force))

    async def _undeploy(self, name: str, force: bool) -> None:
        await undeploy(self.store, name, force=force, clock=self._clock)

    async def serve(self, *, deadline: Duration = SERVING_DEADLINE) -> bool:
        """Work until SIGTERM or SIGINT, finish the running steps, and leave the runtime.

        Steps that still run at the deadline are abandoned, and other workers run them again; no
        attempt is counted. A second signal ends the wait for them. On Ray the roles are actors,
        which go on: there this only waits for a signal. What the process has loaded when this
        begins is left out of garbage collections (`gc.freeze`).

        Args:
            deadline: For the steps that are running, in seconds or as a timedelta.

        Returns:
            Whether all running steps were finished.

        Raises:
            RuntimeUnavailable: Called outside of the `async with`, not in the main thread, or while
                it serves already. Also if the runtime is left before a signal comes.
            InvalidInput: The deadline can't be used.
            StoreMissing: The store is gone, because its file was deleted or replaced, for example.
                No role of this process can run then.
        """
        seconds = seconds_of("deadline", deadline)
        self._entered(self._store)
        if self._is_serving:
            raise RuntimeUnavailable("the runtime", "it serves already; await that call")
        what = f"{', '.join(self._workflows)} on {self.urls.places}"
        self._is_serving = True
        try:
            return await serve(what, seconds, self._gone, self._drain)
        finally:
            self._is_serving = False

    def _end_serving(self, error: WorkflowError) -> None:
        """Have `serve` raise the error. Called in the loop that the runtime was entered in."""
        if not self._gone.done():
            self._gone.set_result(error)

    def _begin_leaving(self) -> None:
        """Called when the runtime is left, before anything else."""
        self._store = None
        self._end_serving(RuntimeUnavailable("serve", "the runtime was left meanwhile"))

    @property
    def store(self) -> Store:
        """The open store. Raises RuntimeUnavailable outside of the `async with`."""
        return self._entered(self._store)

    def _begin_again(self) -> None:
        """Called when the runtime is entered, before anything else."""
        if self._store is not None:
            why = "it runs already; leave it first, or make another one"
            raise RuntimeUnavailable("the runtime", why)
        self._gone: asyncio.Future[WorkflowError] = asyncio.get_running_loop().create_future()

    def _check_known(self, workflow: Workflow[Any, Any]) -> None:
        if self._workflows.get(checked_workflow(workflow).name) is not workflow:
            raise UnknownWorkflow(workflow.name, sorted(self._workflows))

    def _name_of(self, workflow: object) -> str:
        """Return the name of a workflow of this runtime, or the name that was given."""
        if isinstance(workflow, str) and workflow:
            return workflow
        if not is_workflow(workflow):
            raise InvalidInput("workflow", f"give a workflow, or its name, not {workflow!r}")
        self._check_known(workflow)
        return workflow.name

    def _entered(self, part: T | None) -> T:
        """Return a part that exists while the runtime is entered. Raises RuntimeUnavailable."""
        if part is None:
            raise RuntimeUnavailable(
                "the runtime", "it isn't running; use it inside of `async with runtime:`"
            )
        return part

    @abstractmethod
    async def _drain(self, deadline: float, hurried: asyncio.Event) -> bool:
        """Leave the runtime once its roles have finished, after `deadline` seconds, or once it is
        `hurried`, whichever comes first. Returns whether the roles had finished.
        """

    @abstractmethod
    async def __aenter__(self) -> Self: ...

    @abstractmethod
    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
