"""The runs that messages by foreign id are for. A payload is encoded for one run."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from workflow_ray.coding.chains import Chains
from workflow_ray.ports import RecordStore
from workflow_ray.records import (
    Committed,
    GroupResult,
    MessageKey,
    MessageQuery,
    NewMessage,
    NoRun,
    PostResult,
    RunId,
    WriteGroup,
)


class Addressed(NamedTuple):
    """Groups whose messages name runs. Messages for which no run exists are left out."""

    groups: Sequence[WriteGroup]
    left_out: Sequence[frozenset[int]] = ()  # for each group, the places of these messages
    keys: Sequence[tuple[MessageKey, ...]] = ()  # for each group, the keys of all its messages

    def completed(self, answers: Sequence[GroupResult]) -> Sequence[GroupResult]:
        """Add the answers to the messages that were left out."""
        if not any(self.left_out):
            return answers
        return [
            _with_no_runs(answer, left_out, keys)
            for answer, left_out, keys in zip(answers, self.left_out, self.keys, strict=True)
        ]


class Targets:
    """Finds the runs of messages that name a foreign id."""

    def __init__(self, store: RecordStore, chains: Chains) -> None:
        self._store = store
        self._chains = chains

    async def find(self, groups: Sequence[WriteGroup]) -> Addressed:
        """Replace foreign ids by run ids, in messages whose payload will be encoded.

        As the store does: the unfinished run of the foreign id, or else its newest one. A message
        whose key is known stays with its run, so its run only has to exist.
        """
        messages = [
            message for group in groups for message in group.messages if self._is_open(message)
        ]
        if not messages:
            return Addressed(groups)
        runs = _new_runs(groups, messages) | await self._runs_of(messages)
        missing = [message.key for message in messages if message.key not in runs]
        if missing:
            known = await self._store.messages(MessageQuery(keys=tuple(missing), payloads=False))
            runs |= {message.key: message.run_id for message in known}
        left_out = [self._left_out(group, runs) for group in groups]
        return Addressed(
            [
                self._addressed(group, runs, gone)
                for group, gone in zip(groups, left_out, strict=True)
            ],
            left_out,
            [tuple(message.key for message in group.messages) for group in groups],
        )

    def _is_open(self, message: NewMessage) -> bool:
        return message.foreign_id is not None and (
            self._chains.of(message.key.workflow) is not None
        )

    async def _runs_of(self, messages: Sequence[NewMessage]) -> dict[MessageKey, RunId]:
        by_workflow: defaultdict[str, list[NewMessage]] = defaultdict(list)
        for message in messages:
            by_workflow[message.key.workflow].append(message)
        found: dict[MessageKey, RunId] = {}
        for workflow, some in by_workflow.items():
            records = await self._store.latest(workflow, [each.foreign_id or "" for each in some])
            found |= {
                message.key: record.run_id
                for message, record in zip(some, records, strict=True)
                if record is not None
            }
        return found

    def _left_out(self, group: WriteGroup, runs: dict[MessageKey, RunId]) -> frozenset[int]:
        return frozenset(
            at
            for at, message in enumerate(group.messages)
            if self._is_open(message) and message.key not in runs
        )

    def _addressed(
        self, group: WriteGroup, runs: dict[MessageKey, RunId], left_out: frozenset[int]
    ) -> WriteGroup:
        messages = tuple(
            replace(message, run_id=runs[message.key], foreign_id=None)
            if self._is_open(message)
            else message
            for at, message in enumerate(group.messages)
            if at not in left_out
        )
        return replace(group, messages=messages) if group.messages else group


def _new_runs(
    groups: Sequence[WriteGroup], messages: Sequence[NewMessage]
) -> dict[MessageKey, RunId]:
    """Find the runs of messages among those that the same groups start."""
    started = {
        (write.new.workflow, write.new.foreign_id): write.run_id
        for group in groups
        for write in group.writes
        if write.new is not None
    }
    return {
        message.key: started[message.key.workflow, message.foreign_id or ""]
        for message in messages
        if (message.key.workflow, message.foreign_id or "") in started
    }


def _with_no_runs(
    answer: GroupResult, left_out: frozenset[int], keys: Sequence[MessageKey]
) -> GroupResult:
    if not isinstance(answer, Committed) or not left_out:
        return answer
    rest = iter(answer.posts)
    posts: list[PostResult] = [
        NoRun(key) if at in left_out else next(rest) for at, key in enumerate(keys)
    ]
    return replace(answer, posts=tuple(posts))
