"""The transitions of another workflow, as the source of a connector."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from workflow_ray.client.deployed import find_deployed
from workflow_ray.coding import coded
from workflow_ray.definition import Workflow
from workflow_ray.definition.arguments import checked_text
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import Clock, EventStreamer, SourceReader, SystemClock, events_adapter
from workflow_ray.runtime.connect import open_beside
from workflow_ray.runtime.transition_reader import TransitionReader
from workflow_ray.runtime.transition_topics import topics_of
from workflow_ray.runtime.urls import Place, checked_url, records_url


class TransitionSource:
    """A ConnectorSource: the transitions of a workflow, of this deployment or of another one.

    An event says that a run entered a status that has a step, or has another run state: paused,
    cancelled or completed. An event for a run state is there only if a hook of that workflow asks
    for the state. Entering a status where a run only waits makes no event. If the status has flow
    control, the event is that of the admission; a run that is paused there, or whose start was
    delayed, can have two.

    The id of an event is the run's id and the version, its key is the foreign id, and its data is
    that of the run at that version, as JSON. Its headers are `workflow`, `run_id`, `version`,
    `status`, `run_state`, `cause` and `data_version`. Data of earlier versions is converted to that
    of the workflow, unless only its name is given.

    Events are kept until the connector has read them. A connector that is taken away for good must
    be told so by `forget`, or events are kept for ever.

    Args:
        workflow: The workflow, or its name. If it has a codec, hand in the workflow itself: by its
            name alone its data can't be decoded. Then it is left out of the events, and a header
            `unreadable` says why.
        reader: A name of its own for each connector that reads the workflow.
        records: Where that workflow's records are, a URL or the path of a SQLite file. None:
            WORKFLOW_RAY_RECORDS, else sqlite:///workflow.db.
        events: The URL of its events. None: they are where the records are.

    Raises:
        InvalidInput: An argument can't be used.
    """

    def __init__(
        self,
        workflow: Workflow[Any, Any] | str,
        *,
        reader: str,
        records: Place | None = None,
        events: str | None = None,
    ) -> None:
        self._definition = workflow if isinstance(workflow, Workflow) else None
        name = workflow.name if isinstance(workflow, Workflow) else workflow
        self._workflow = _checked_name("workflow", name)
        self._reader = _checked_name("reader", reader)
        self._records = None if records is None else records_url(records)
        self._events = None if events is None else checked_url("events", events)

    def open(self, *, clock: Clock, events: str) -> AbstractAsyncContextManager[SourceReader]:
        """Return the log, not yet open.

        Args:
            clock: Measures the waits.
            events: Not used.

        Raises:
            UnknownWorkflow: When entered: the workflow is not deployed there.
            StoreError: When entered: the store can't be used.
        """
        return self._open(clock)

    async def forget(self) -> None:
        """Keep no events for this reader any more. Call it when its connector is taken away."""
        async with self._open(SystemClock()) as reader:
            await reader.forget()

    @asynccontextmanager
    async def _open(self, clock: Clock) -> AsyncGenerator[TransitionReader]:
        async with AsyncExitStack() as stack:
            records = await stack.enter_async_context(
                open_beside(records_url(self._records), clock)
            )
            if self._events is not None:
                opening = events_adapter(self._events).open_events(self._events, clock=clock)
                streamer: EventStreamer = await stack.enter_async_context(opening)
            elif isinstance(records, EventStreamer):
                streamer = records
            else:
                raise InvalidInput(repr(self), "its records hold no events; name them by events=")
            deployed = find_deployed(await records.deployment(), self._workflow)
            readable = records if self._definition is None else coded(records, self._definition)
            yield TransitionReader(
                deployed,
                topics_of(deployed),
                self._reader,
                readable,
                streamer,
                clock,
                self._definition,
            )

    def __repr__(self) -> str:
        return f"TransitionSource({self._workflow!r}, reader={self._reader!r})"


def _checked_name(what: str, name: object) -> str:
    if not checked_text(what, name):
        raise InvalidInput(what, "it is empty")
    return checked_text(what, name)
