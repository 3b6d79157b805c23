"""Dead letters: events of connectors and hooks, and deletions, whose attempts are used up."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from workflow_ray.client.writer import Writer
from workflow_ray.definition.arguments import checked_text
from workflow_ray.errors import DeadLetterIncomplete, DeadLetterNotFound, InvalidInput
from workflow_ray.records import (
    ConnectorEvent,
    DeployedWorkflow,
    NewSetAside,
    RunId,
    SetAside,
    SetAsideEvent,
    SetAsideQuery,
    Version,
    WriteGroup,
    connector_group,
    data_group,
    hooks_group,
    named_groups,
    read_set_aside,
)

HOOKS = "hooks"
"""The origin of the dead letters of hooks, in place of a connector's name."""
DATA = "data-deletion"
"""The origin of deletions of data that have failed. No connector has a name with a dash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event that was given up. It waits until it is replayed or dropped."""

    id: str
    """Its origin and the id of its event, as in `carts/carts-0-17`."""
    origin: str
    """The connector's name, or "hooks", or "data-deletion"."""
    event_id: str
    attempts: int
    """The failed attempts, since it was last replayed."""
    error: str
    """Of the last attempt."""
    set_aside_at: datetime
    """When its first attempt failed."""
    given_up_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterContent(DeadLetter):
    """A dead letter with what it holds."""

    event: ConnectorEvent | None
    """Of a connector. Without data and headers if these were too large to be kept."""
    run_id: RunId | None
    """Of hooks: the run that they were called for. Of a deletion: the run whose data stays."""
    version: Version | None
    """Of hooks: the version of the run."""
    hooks: tuple[str, ...]
    """The names of the hooks that have failed."""


class DeadLetters:
    """The dead letters of one workflow, or of one of its connectors.

    `async for letter in letters` lists them, page by page.
    """

    def __init__(self, workflow: str, groups: Mapping[str, str], writer: Writer) -> None:
        """Make them of the groups to look into, by origin."""
        self._workflow = workflow
        self._groups = groups
        self._writer = writer

    async def __aiter__(self) -> AsyncIterator[DeadLetter]:
        for origin, group in self._groups.items():
            query = SetAsideQuery(group=group, dead=True)
            while page := await self._writer.records.set_aside(query):
                for entry in page:
                    yield _letter(origin, entry)
                query = msgspec.structs.replace(query, after=page[-1].key)

    async def show(self, letter_id: str) -> DeadLetterContent:
        """Return a dead letter with its event.

        Args:
            letter_id: As DeadLetter.id has it.

        Raises:
            DeadLetterNotFound: It does not exist.
        """
        origin, entry = (await self._find(letter_id))[-1]
        held = read_set_aside(self._workflow, entry.event)
        return DeadLetterContent(
            id=letter_id,
            origin=origin,
            event_id=entry.event_id,
            attempts=entry.attempt,
            error=entry.error,
            set_aside_at=entry.set_aside_at,
            given_up_at=entry.changed_at,
            event=held.connector,
            run_id=_run_id(origin, entry, held),
            version=held.run.version if held.run else None,
            hooks=(*held.hooks, *held.given_up),
        )

    async def replay(self, *ids: str) -> None:
        """Deliver dead letters again, with all their attempts.

        An event that fails again is tried again by its policy. With `ordered=True` a replayed event
        comes after the events of its key that were delivered meanwhile.

        Args:
            ids: As DeadLetter.id has them.

        Raises:
            DeadLetterNotFound: One of them is not there. None was replayed.
            DeadLetterIncomplete: The data of one of them was too large to be kept. None was
                replayed.
        """
        again = [self._again(origin, entry) for origin, entry in await self._all(ids)]
        await self._writer.commit(WriteGroup(set_aside=tuple(again)))

    async def drop(self, *ids: str) -> None:
        """Remove dead letters for good.

        Args:
            ids: As DeadLetter.id has them.

        Raises:
            DeadLetterNotFound: One of them is not there. None was dropped.
        """
        keys = tuple(entry.key for _, entry in await self._all(ids))
        await self._writer.commit(WriteGroup(taken_back=keys))

    def _again(self, origin: str, entry: SetAside) -> NewSetAside:
        held = read_set_aside(self._workflow, entry.event)
        if held.left_out:
            letter_id = f"{origin}/{entry.event_id}"
            raise DeadLetterIncomplete(self._workflow, letter_id, held.left_out)
        hooks = (*held.hooks, *held.given_up)
        event = msgspec.structs.replace(held, hooks=hooks, given_up=(), running=None)
        return NewSetAside(
            key=entry.key,
            event_id=entry.event_id,
            event=msgspec.json.encode(event),
            attempt=0,
            error=entry.error,
            retry_in=0.0,
        )

    async def _all(self, ids: Sequence[str]) -> list[tuple[str, SetAside]]:
        return [found for letter_id in dict.fromkeys(ids) for found in await self._find(letter_id)]

    async def _find(self, letter_id: str) -> list[tuple[str, SetAside]]:
        """Find the entries of an id. It has several only if the log of its source was made again.

        Raises DeadLetterNotFound.
        """
        origin, _, event_id = checked_text("letter_id", letter_id).partition("/")
        group = self._groups.get(origin)
        if group is not None and event_id:
            query = SetAsideQuery(group=group, dead=True, event_id=event_id)
            if entries := await self._writer.records.set_aside(query):
                return [(origin, entry) for entry in entries]
        raise DeadLetterNotFound(self._workflow, letter_id)


def chosen(workflow: str, groups: Mapping[str, str], connector: str | None) -> Mapping[str, str]:
    """Return the groups to look into: all, or that of a connector. Raises InvalidInput."""
    if connector is None:
        return groups
    if connector not in groups:
        known = ", ".join(groups) or "none"
        raise InvalidInput(
            "connector",
            f"{workflow} has no connector {connector!r}. Name one of these: {known}",
        )
    return {connector: groups[connector]}


def groups_of(workflow: DeployedWorkflow) -> dict[str, str]:
    """Return the groups that may have dead letters, by origin, as the workflow is deployed."""
    groups = named_groups(workflow.groups, connector_group, workflow.name)
    hooks = hooks_group(workflow.name)
    data = data_group(workflow.name)
    groups = {HOOKS: hooks, **groups} if hooks in workflow.groups else groups
    return {**groups, DATA: data} if data in workflow.groups else groups


def _run_id(origin: str, entry: SetAside, held: SetAsideEvent) -> RunId | None:
    if origin == DATA:
        return RunId(entry.event_id)
    return held.run.run_id if held.run else None


def _letter(origin: str, entry: SetAside) -> DeadLetter:
    return DeadLetter(
        id=f"{origin}/{entry.event_id}",
        origin=origin,
        event_id=entry.event_id,
        attempts=entry.attempt,
        error=entry.error,
        set_aside_at=entry.set_aside_at,
        given_up_at=entry.changed_at,
    )
