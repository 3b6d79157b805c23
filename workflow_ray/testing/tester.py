"""Runs workflows in a test, by a clock that only the test moves."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from types import TracebackType
from typing import Any, Concatenate, Protocol, Self, TypeVar

from pydantic import BaseModel

from workflow_ray.client import Client
from workflow_ray.client.inputs import checked_workflow
from workflow_ray.definition import (
    Resource,
    Run,
    Status,
    Workflow,
    by_name,
)
from workflow_ray.definition.arguments import checked_text, checked_time, shown
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.errors import InvalidInput, UnknownWorkflow
from workflow_ray.records import DeployedWorkflow, Role, connector_group
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.hosting import roles_of
from workflow_ray.runtime.role_processes import role_process
from workflow_ray.runtime.transactional import check_transactional
from workflow_ray.testing.clock import START, FakeClock
from workflow_ray.testing.crashes import Side
from workflow_ray.testing.fed_source import Fed, FedSource
from workflow_ray.testing.tested_roles import TestedRoles
from workflow_ray.testing.tested_store import TestedStore

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)
M = TypeVar("M")


class WorkflowTester:
    """Runs the roles of workflows on the memory adapter, in the test's event loop.

    Time stands still until the test calls `advance`. A call that waits, such as `handle.wait`, runs
    everything that can run without time passing. If that is not enough, it raises NothingLeft,
    which says what is due and when. Steps that take real time, in threads too, are waited for.
    Connectors read no source: they get the events that the test hands to `feed`.
    The next call that waits raises the error of a role that has crashed, for example because a
    resource could not be opened.

    Args:
        workflows: The workflows to run, at least one, with those of their children.
        resources: Objects to use in place of resources. The other resources are opened as usual.
        start: The time at the beginning, with a timezone.

    Raises:
        InvalidInput: No workflow is given, one waits for children of a workflow that is not given,
            or an argument can't be used.
    """

    def __init__(
        self,
        *workflows: Workflow[Any, Any],
        resources: Mapping[Resource[Any], object] | None = None,
        start: datetime = START,
    ) -> None:
        if not workflows:
            raise InvalidInput("workflows", "hand in at least one, as in WorkflowTester(orders)")
        self._workflows = by_name(workflows)
        _check_children(self._workflows)
        self._sources = {
            connector_group(workflow.name, connector.name): FedSource(connector.name)
            for workflow in self._workflows.values()
            for connector in workflow.checked().connectors
        }
        self._resources = {} if resources is None else _checked_resources(resources)
        self._clock = FakeClock(checked_time("start", start))
        self._roles = TestedRoles(self._clock, self._start_all)
        self._store = TestedStore(self._clock, self._roles, self._workflows)

    async def __aenter__(self) -> Self:
        check_transactional(self._workflows.values(), "memory://tester")
        await merge(self._store, self._described)
        await self._start_all()
        try:
            await self.settle()
        except BaseException:
            await self._roles.abandon()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self._roles.finish()
        else:  # a step may wait for something that the test does not do any more
            await self._roles.abandon()

    @property
    def now(self) -> datetime:
        """The current time, in UTC."""
        return self._clock.now()

    def client(self, workflow: Workflow[D, S]) -> Client[D, S]:
        """Make a client of one of the workflows.

        Raises:
            UnknownWorkflow: The tester does not run this workflow.
        """
        if self._workflows.get(checked_workflow(workflow).name) is not workflow:
            raise UnknownWorkflow(workflow.name, sorted(self._workflows))
        return Client(workflow, self._store, self._clock)

    async def callback(
        self,
        function: Callable[Concatenate[Run[D, S], M, ...], Any],
        foreign_id: str,
        message: M,
        *,
        idempotency_key: str | None = None,
    ) -> Run[D, S]:
        """Call the callback of one of the workflows, and run everything up to its answer.

        As `Client.callback`, whose errors it raises.

        Args:
            function: The callback.
            foreign_id: The run's.
            message: What the callback takes. Bytes are JSON.
            idempotency_key: Unique among the workflow's callbacks.

        Returns:
            The run as the callback has left it.

        Raises:
            InvalidInput: None of the workflows has this callback.
            NothingLeft: The answer needs time to pass. The message stays.
        """
        for workflow in self._workflows.values():
            if workflow.checked().callback_of(function) is not None:
                return await self.client(workflow).callback(
                    function, foreign_id, message, idempotency_key=idempotency_key
                )
        raise InvalidInput("function", f"{shown(function)} is not a callback of the workflows")

    async def feed(self, connector: str, *events: Fed) -> None:
        """Hand events to a connector, and run everything that can run without time passing.

        Args:
            connector: The connector's name.
            events: In order, each as its data, as its key and data, or whole.

        Raises:
            InvalidInput: None of the workflows has this connector, several have, or an event can't
                be used. Nothing was handed over.
        """
        name = checked_text("connector", connector)
        found = [each for each in self._sources.values() if each.connector == name]
        if len(found) != 1:
            known = ", ".join(sorted(each.connector for each in self._sources.values()))
            raise InvalidInput(
                "connector",
                f"{name!r} is not the name of one connector; there are: {known or 'none'}",
            )
        found[0].feed(events, self._clock)
        await self.settle()

    async def advance(self, by: Duration) -> None:
        """Let time pass. Everything that becomes due meanwhile happens at its own time, in order.

        Args:
            by: Seconds, or a timedelta.

        Raises:
            InvalidInput: `by` is neither seconds nor a timedelta, or is negative.
        """
        target = self.now + timedelta(seconds=seconds_of("by", by))
        while self.now < target:
            await self.settle()
            due = self._store.upcoming.listed(self.now)
            self._clock.jump(min([target, *(each.at for each in due[:1])]))
        await self.settle()

    async def settle(self) -> None:
        """Run everything that can run without time passing, and wait for the steps that run.

        Raises the error of a role that has crashed.
        """
        await self._roles.settle()
        while await self._roles.wait_for_work():
            await self._roles.settle()

    # --- crashes --------------------------------------------------------------------------------

    @property
    def commits(self) -> int:
        """The number of commits that the roles have made so far, or tried to make."""
        return self._store.crashes.commits

    @property
    def crashes(self) -> list[str]:
        """The crashes that have happened, each as text: before or after which commit, and who
        commits what.
        """
        return list(self._store.crashes.happened)

    def crash_at(self, commit: int, side: Side = "before") -> None:
        """Crash the engine at a commit that is still to come, and start it again.

        All roles end at once, as SIGKILL ends a process: nothing more reaches the store, and no
        role is released. New holders take the roles over and try again what was in doubt. One crash
        takes no time; from the second one on, each takes 6 seconds. Unlike with SIGKILL, async
        functions are cancelled, so that their `finally` runs, and a plain function that has begun
        runs to its end in its thread.

        Call it before the tester is entered, or later. It may be called several times.

        Args:
            commit: The number of the commit, from 1, as `commits` counts them.
            side: "before": the commit is not made. "after": it is made, and no role gets the
                answer.

        Raises:
            InvalidInput: An argument can't be used, or this commit is made already.
        """
        self._store.crashes.plan(commit, side)

    def due(self) -> list[str]:
        """List what is due later, the next one first, as text."""
        return self._store.due_in_words()

    @cached_property
    def _described(self) -> list[DeployedWorkflow]:
        return [describe_here(workflow) for workflow in self._workflows.values()]

    async def _start_all(self) -> None:
        for role in roles_of(self._described):
            await self._start(role)

    async def _start(self, role: Role) -> None:
        fence = await self._store.acquire(role)
        self._roles.start(
            role,
            role_process(
                role,
                fence,
                list(self._workflows.values()),
                self._store,
                self._clock,
                self._resources,
                sources=self._sources,
            ),
        )


class WorkflowTesterFactory(Protocol):
    """Makes testers: the type of the pytest fixture `workflow_tester`."""

    def __call__(
        self,
        *workflows: Workflow[Any, Any],
        resources: Mapping[Resource[Any], object] | None = None,
        start: datetime = START,
    ) -> WorkflowTester:
        """Make a tester. The arguments and the errors are those of WorkflowTester."""
        ...


def _check_children(workflows: Mapping[str, Workflow[Any, Any]]) -> None:
    """Check that the workflows of children are tested too. Raises InvalidInput."""
    for workflow in workflows.values():
        for function in workflow.checked().functions_for_children:
            if workflows.get(function.child.name) is not function.child:
                raise InvalidInput(
                    "workflows",
                    f"{workflow.name} waits for children of {function.child.name}; hand in"
                    f" {function.child.name} too",
                )


def _checked_resources(given: Mapping[Resource[Any], object]) -> dict[Resource[Any], object]:
    if not _is_a(given, Mapping) or not all(_is_a(key, Resource) for key in given):
        raise InvalidInput(
            "resources", "hand in values by resource, as in {warehouse: Warehouse()}"
        )
    return dict(given)


def _is_a(value: object, kind: type) -> bool:
    return isinstance(value, kind)
