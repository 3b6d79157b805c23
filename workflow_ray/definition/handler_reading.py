"""The reading of one connector, schedule, hook or scrubber."""

from collections.abc import Iterator
from typing import TypeAlias

from workflow_ray.definition.callables import is_async, kind_mistake
from workflow_ray.definition.declarations import (
    ConnectorDeclaration,
    Declaration,
    HookDeclaration,
    ScheduleDeclaration,
    ScrubDeclaration,
)
from workflow_ray.definition.durations import seconds_of
from workflow_ray.definition.handler_checks import handler_mistakes
from workflow_ray.definition.handlers import Connector, Hook, Schedule, Scrubber
from workflow_ray.definition.signature import Parameters

Handler: TypeAlias = Connector | Schedule | Hook | Scrubber


class HandlerReader:
    """Reads one declared function. Its handler is made only if it has no mistakes."""

    def __init__(self, declared: Declaration) -> None:
        self.handler: Handler | None = None
        self._declared = declared
        self._mistakes = list(handler_mistakes(declared))
        if kind := kind_mistake(declared.function):
            self._mistakes.append(kind)
            return
        parameters = Parameters(declared.function, declared.leading)
        self._mistakes += parameters.mistakes
        if isinstance(declared, ScheduleDeclaration) and parameters.resources:
            listed = " and ".join(parameters.resources)
            self._mistakes.append(
                f"takes the resource {listed}, which a schedule can't have; take it out, and read"
                " what the run needs in its first step"
            )
        if not self._mistakes:
            self.handler = _made(declared, parameters)

    def mistakes(self) -> Iterator[str]:
        """Its mistakes, each with its place."""
        for mistake in self._mistakes:
            yield f"{self._declared.place} {mistake}"


def _made(declared: Declaration, parameters: Parameters) -> Handler | None:
    match declared:
        case ConnectorDeclaration():
            return Connector(
                name=declared.label,
                source=declared.source,
                function=declared.function,
                where=declared.where,
                is_async=is_async(declared.function),
                resources=parameters.resources,
                shards=declared.shards,
                retry=declared.retry,
                ordered=declared.ordered,
                ray=declared.ray,
            )
        case ScheduleDeclaration():
            every = declared.every
            return Schedule(
                name=declared.label,
                function=declared.function,
                where=declared.where,
                is_async=is_async(declared.function),
                cron=declared.cron,
                timezone=declared.timezone or "UTC",
                every=None if every is None else seconds_of("every", every),
                overlap=declared.overlap,
                catch_up=seconds_of("catch_up", declared.catch_up),
                jitter=seconds_of("jitter", declared.jitter),
            )
        case HookDeclaration():
            return Hook(
                run_state=declared.run_state,
                function=declared.function,
                name=declared.name,
                where=declared.where,
                is_async=is_async(declared.function),
                resources=parameters.resources,
                retry=declared.retry,
            )
        case ScrubDeclaration():
            return Scrubber(
                function=declared.function,
                name=declared.name,
                where=declared.where,
                is_async=is_async(declared.function),
                resources=parameters.resources,
                retry=declared.retry,
            )
        case _:
            return None
