"""The role of a workflow's hooks: it calls them with runs that were paused, cancelled or
completed.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from workflow_ray.definition import Hook, Resource, Retry, Run, Workflow
from workflow_ray.engine.interrupts import is_interrupt
from workflow_ray.engine.newer_data import HOLD_EVENT, newer_data_in
from workflow_ray.engine.runs import run_of
from workflow_ray.ports import Clock, EventStreamer, RecordStore
from workflow_ray.records import DELETED, Fence, Record, Role, RoleName
from workflow_ray.roles.calling import call, check_fence
from workflow_ray.roles.deliverer import IN_FLIGHT, Duty
from workflow_ray.roles.delivery import Delivery, Failure
from workflow_ray.roles.delivery_role import DeliveryRole
from workflow_ray.roles.execution import failed
from workflow_ray.roles.hook_log import HookCall, HookLog
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.observation import Observation
from workflow_ray.roles.resources import Opened, opened
from workflow_ray.roles.surrounded import Surrounded
from workflow_ray.roles.threads import Threads, threads_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HooksWork:
    """The work of the hooks' role, and in tests the values that replace resources."""

    role: Role
    workflow: Workflow[Any, Any]
    replaced: Mapping[Resource[Any], object]


class HooksRole(DeliveryRole[HookCall]):
    """Delivers the run-state events of a workflow to its hooks."""

    def __init__(
        self,
        work: HooksWork,
        fence: Fence,
        records: RecordStore,
        events: EventStreamer,
        clock: Clock,
        observation: Observation | None = None,
        in_flight: InFlight | None = None,
    ) -> None:
        super().__init__(fence, records, clock, observation, in_flight)
        self._work = work
        self._events = events

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, as Deliverer.run says.

        Raises:
            RoleLost: The role has a newer holder.
            WorkflowError: The store can't be used, or a resource failed.
        """
        work = self._work
        hooks = work.workflow.checked().hooks
        async with opened("hooks", _resources_of(hooks), work.replaced) as resources:
            threads = threads_of(work.workflow, work.role.name, "hooks", IN_FLIGHT)
            role = self._fence.role
            log = HookLog(work.workflow, self._records, self._events, self._clock, role)
            kind = SurroundedHookHandler if work.workflow.middleware else HookHandler
            handler = kind(work.workflow, log, resources, threads, role)
            duty = Duty(work.role, log, handler, resources)
            await self._deliver(duty, stop)


def _resources_of(hooks: Sequence[Hook]) -> Mapping[Resource[Any], None]:
    """All resources of the hooks, in order, each of them once."""
    return dict.fromkeys(resource for hook in hooks for resource in hook.resources.values())


class HookHandler:
    """Calls the hooks of one event, with the run as it was at the event's version."""

    name = "hooks"

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        log: HookLog,
        resources: Opened,
        threads: Threads,
        role: RoleName,
    ) -> None:
        hooks = workflow.checked().hooks
        self._workflow = workflow
        self._log = log
        self._threads = threads
        self._role = role
        self._hooks = {hook.name: hook for hook in hooks}
        self._functions = {
            hook.name: partial(
                hook.function,
                **{name: resources.values[used] for name, used in hook.resources.items()},
            )
            for hook in hooks
        }

    def retry(self, event: HookCall) -> Retry:
        """Return the policy that allows most attempts, among the hooks that are to be called."""
        policies = [self._hooks[name].retry for name in event.hooks if name in self._hooks]
        return max(policies, key=lambda retry: retry.attempts, default=Retry())

    async def call(self, delivery: Delivery[HookCall]) -> Failure[HookCall] | None:
        """Call each hook. What remains of the event are those that have failed."""
        event = delivery.item.event
        names = [name for name in event.hooks if name in self._hooks]
        if not names:
            return self._given_up(event, ())
        record = await self._log.record_then(event)
        if record is None:
            where = {"run_id": event.event.run_id, "role": self._role}
            logger.error(
                "%s: the history of run %s has no version %d any more; its hooks are not called",
                self._role,
                event.event.run_id,
                event.event.version,
                extra=where,
            )
            return None
        if record.data == DELETED:
            self._log_deleted(event)
            return None
        errors = await asyncio.gather(*(self._call_one(name, record, delivery) for name in names))
        for error in errors:
            check_fence(error, self._role)
        failures = {
            name: error for name, error in zip(names, errors, strict=True) if error is not None
        }
        if failures and await self._log.is_deleted(event):
            self._log_deleted(event)  # nothing is kept: the errors may show the data
            return None
        return self._outcome(event, failures)

    def _log_deleted(self, event: HookCall) -> None:
        where = {"run_id": event.event.run_id, "role": self._role}
        logger.warning(
            "%s: the data of run %s was deleted; its hooks are not called",
            self._role,
            event.event.run_id,
            extra=where,
        )

    def _outcome(
        self, event: HookCall, failures: Mapping[str, BaseException]
    ) -> Failure[HookCall] | None:
        """Sort the hooks that have failed: those to call again, and those given up."""
        why = {name: failed(error, self._hooks[name].retry) for name, error in failures.items()}
        fatal = tuple(name for name, failure in why.items() if failure.fatal)
        rest = replace(
            event,
            hooks=tuple(name for name in why if name not in fatal),
            given_up=(*event.given_up, *fatal),
            record=None,
        )
        if not why:
            return self._given_up(rest, ())
        text = "; ".join(f"{name}: {failure.error}" for name, failure in why.items())
        (raised, *_) = failures.values()
        if any(map(newer_data_in, failures.values())) and rest.hooks:
            return Failure(text, HOLD_EVENT, rest, is_counted=False, raised=raised)
        return Failure(text, self.retry(rest), rest, not rest.hooks, raised)

    def _given_up(self, event: HookCall, hooks: tuple[str, ...]) -> Failure[HookCall] | None:
        """Keep the event as a dead letter if one of its hooks was given up earlier."""
        if not event.given_up:
            return None
        rest = replace(event, hooks=hooks, record=None)
        text = f"{', '.join(event.given_up)}: given up in an earlier attempt"
        return Failure(text, Retry(), rest, is_fatal=True)

    async def _call_one(
        self, name: str, record: Record, delivery: Delivery[HookCall]
    ) -> BaseException | None:
        try:
            # its own copy: a hook may change the data, which has no effect
            run = run_of(self._workflow, record)
        except BaseException as error:  # of a validator, or this code can't read the run
            if is_interrupt(error):
                raise
            return error
        return await self._call_with(run, name, delivery)

    async def _call_with(
        self, run: Run[Any, Any], name: str, delivery: Delivery[HookCall]
    ) -> BaseException | None:
        return await call(
            partial(self._functions[name], run),
            is_async=self._hooks[name].is_async,
            threads=self._threads,
        )


class SurroundedHookHandler(HookHandler):
    """Calls each hook with the middleware of the workflow around it."""

    async def _call_with(
        self, run: Run[Any, Any], name: str, delivery: Delivery[HookCall]
    ) -> BaseException | None:
        is_async = self._hooks[name].is_async
        around = Surrounded(self._workflow, "hook", name, is_async, self._threads)
        function = partial(self._functions[name], run)
        return await call(
            partial(around.call, function, delivery.number, run=run),
            is_async=True,
            threads=self._threads,
        )
