"""Callbacks: posts the messages of callers, and waits for their answers."""

from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from workflow_ray.client.connection import Connection
from workflow_ray.client.inputs import checked_key
from workflow_ray.client.past_runs import run_at
from workflow_ray.client.standing import read_record, standing, timed_out
from workflow_ray.definition import Callback, Run, Status
from workflow_ray.definition.arguments import shown
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.engine.error_text import flaws
from workflow_ray.engine.idempotency import is_repeated
from workflow_ray.errors import (
    CallbackError,
    CallbackExpired,
    CallbackFailed,
    CallbackTooEarly,
    CallbackTooLate,
    InvalidInput,
    InvalidMessage,
    KeyReused,
    RunFinished,
    RunNotFound,
    WorkflowError,
)
from workflow_ray.records import (
    DIGEST_SIZE,
    MAX_DATA,
    Message,
    MessageId,
    MessageKey,
    MessageKind,
    MessageOutcome,
    MessageQuery,
    NewMessage,
    NoRun,
    NotAwaited,
    Posted,
    Record,
    RunId,
    WriteGroup,
    new_write_id,
)

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


@dataclass(frozen=True, slots=True)
class Target:
    """The run that a callback is for. Exactly one of the two is given."""

    run_id: RunId | None = None
    # the unfinished run of this foreign id, or else its newest run
    foreign_id: str | None = None

    def __str__(self) -> str:
        return self.run_id or self.foreign_id or ""


async def call(
    connection: Connection[D, S],
    target: Target,
    function: object,
    message: object,
    *,
    timeout: Duration | None,
    idempotency_key: str | None,
) -> Run[D, S]:
    """Post a message to a run, and wait for its answer. See `Handle.callback`."""
    seconds = None if timeout is None else seconds_of("timeout", timeout)
    if idempotency_key is not None:
        checked_key("idempotency_key", idempotency_key)
    start = connection.clock.monotonic()
    sender = _Sender(connection, target, _callback(connection, function))
    posted = await sender.post(await sender.payload(message), idempotency_key)
    left = None if seconds is None else start + seconds - connection.clock.monotonic()
    settled = await connection.answers.of(posted.key, wait=left)
    if settled is None:
        note = (
            "The callback stays, and its answer is kept: a call with the same idempotency key gets"
            " it"
        )
        wanted = f"the answer of callback {sender.callback.name}"
        raise await timed_out(connection, posted.run_id, wanted, seconds or 0.0, note)
    return await sender.answer(settled)


def _callback(connection: Connection[D, S], function: object) -> Callback[S]:
    """Return the callback that a caller names. Raises InvalidInput."""
    graph = connection.workflow.checked()
    found = None
    if isinstance(function, str):
        found = graph.callback(function)
    elif callable(function):
        found = graph.callback_of(function)
    if found is None:
        names = ", ".join(graph.callback_names) or "it has none"
        raise InvalidInput(
            "function",
            f"{_named(function)} is not a callback of workflow {connection.workflow.name!r};"
            f" give one: {names}",
        )
    return found


def _named(function: object) -> str:
    if isinstance(function, str) or not callable(function):
        return shown(function)
    return str(getattr(function, "__qualname__", shown(function)))


@dataclass(frozen=True, slots=True)
class _Sender(Generic[S]):
    """Sends one callback to its run."""

    connection: Connection[Any, S]
    target: Target
    callback: Callback[S]

    async def payload(self, message: object) -> bytes:
        """Return the message as JSON. Raises InvalidMessage."""
        try:
            payload = self._encoded(message)
        except ValidationError as error:
            why = flaws(error)
        except InvalidInput as error:
            why = error.why
        else:
            if len(payload) <= MAX_DATA:
                return payload
            why = f"it is {len(payload)} bytes long; {MAX_DATA} are allowed"
        raise InvalidMessage(self.callback.name, why, await self._stands())

    def _encoded(self, message: object) -> bytes:
        if isinstance(message, (bytes, bytearray)):  # JSON
            payload = bytes(message)
            self.callback.read(payload)
            return payload
        return self.callback.write(message)

    async def _stands(self) -> str | None:
        """Where the run stands. None: there is none, or the store does not tell."""
        with suppress(WorkflowError):
            store, workflow = self.connection.impatient, self.connection.workflow
            (record,) = (
                await store.latest(workflow.name, [self.target.foreign_id])
                if self.target.foreign_id is not None
                else await store.lookup([self.target.run_id or RunId("")])
            )
            if record is not None:
                return standing(workflow, record.status, record.run_state)
        return None

    async def post(self, payload: bytes, idempotency_key: str | None) -> Posted:
        """Post the message. Raises an error if the run does not take it, or the key was used."""
        writer, workflow = self.connection.writer, self.connection.workflow
        key = writer.key(idempotency_key, str(self.target), self.callback.name)
        message = self._message(MessageId(key or new_write_id()), payload, writer.by)
        answer = await writer.commit(WriteGroup(messages=(message,)))
        match answer.posts[0]:
            case NoRun():
                raise RunNotFound(workflow.name, str(self.target))
            case NotAwaited() as not_awaited:
                raise self._refusal(not_awaited)
            case Posted() as posted:
                if posted.digest is not None and posted.digest != message.digest:
                    await self._check_repeated(posted, message)
                return posted

    def _message(self, key: MessageId, payload: bytes, by: str) -> NewMessage:
        workflow, callback = self.connection.workflow, self.callback
        keep = callback.early or None
        return NewMessage(
            key=MessageKey(workflow.name, MessageKind.CALLBACK, key),
            run_id=self.target.run_id,
            foreign_id=self.target.foreign_id,
            name=callback.name,
            statuses=tuple(sorted(status.value for status in callback.statuses)),
            kept_at=() if keep is None else self._kept_at(),
            keep=keep,
            payload=payload,
            digest=_digest(callback.name, str(self.target), payload),
            by=by,
        )

    def _kept_at(self) -> tuple[int, ...]:
        """The statuses that do not accept the callback, and from which one that does is reached."""
        return tuple(
            status.value
            for status in self.connection.workflow.statuses
            if status not in self.callback.statuses and self._is_ahead(status)
        )

    def _is_ahead(self, status: S) -> bool:
        """Whether a status that accepts the callback can be reached from this one."""
        graph = self.connection.workflow.checked()
        return any(graph.reaches(status, each) for each in self.callback.statuses)

    def _refusal(self, answer: NotAwaited) -> CallbackError:
        accepted = f"{self._statuses()} accepts it"
        if len(self.callback.statuses) > 1:
            accepted = f"{self._statuses()} accept it"
        if answer.run_state.finished:
            return self._error(RunFinished, answer, f"the run is finished; only {accepted}")
        with suppress(KeyError):
            if self._is_ahead(self.connection.workflow.status_of(answer.status)):
                why = f"{accepted}. Call again when the run is there, or declare it with `early=`"
                return self._error(CallbackTooEarly, answer, why)
        why = f"{accepted}, and no transition leads there any more"
        return self._error(CallbackTooLate, answer, why)

    def _statuses(self) -> str:
        return " and ".join(
            status.name for status in sorted(self.callback.statuses, key=lambda each: each.value)
        )

    async def _check_repeated(self, posted: Posted, message: NewMessage) -> None:
        """Check that a known key was used for this message. Raises KeyReused."""
        stored = await self.connection.records.messages(MessageQuery(keys=(posted.key,)))
        if not stored:  # it was deleted meanwhile
            return
        differing = [
            *(["run"] if await self._is_of_another_run(posted.run_id) else []),
            *(["callback"] if stored[0].name != message.name else []),
        ]
        if not differing and not self._is_same(message.payload, stored[0].payload):
            differing = ["message"]
        if differing:
            raise KeyReused(posted.key.workflow, posted.key.id, posted.run_id, differing)

    async def _is_of_another_run(self, run_id: RunId) -> bool:
        if self.target.run_id is not None:
            return self.target.run_id != run_id
        record = await read_record(self.connection, run_id, self.connection.records)
        return record.foreign_id != self.target.foreign_id

    def _is_same(self, payload: bytes, stored: bytes) -> bool:
        """Whether two messages are equal as their type reads them, and not only byte for byte."""
        try:
            return payload == stored or is_repeated(
                self.callback.read(payload), self.callback.read(stored)
            )
        except ValidationError:  # it was stored by code with another type
            return False

    async def answer(self, settled: Message) -> Run[Any, S]:
        """Return the run after its callback, or raise why the callback has not moved it."""
        if settled.outcome is MessageOutcome.TAKEN and settled.version is not None:
            return await run_at(self.connection, settled.run_id, settled.version)
        record = await read_record(
            self.connection, settled.run_id, self.connection.records, fresh=True
        )
        match settled.outcome:
            case MessageOutcome.FAILED:
                raise self._error(CallbackFailed, record, settled.reason or "its function failed")
            case MessageOutcome.EXPIRED:
                why = f"it came before the run was at {self._statuses()}, and was kept as long as"
                raise self._error(CallbackExpired, record, f"{why} early= says")
            case _:
                version = "" if settled.version is None else f", with version {settled.version}"
                why = f"the run went on by another transition{version}"
                raise self._error(CallbackTooLate, record, why)

    def _error(
        self, kind: type[CallbackError], run: Record | NotAwaited, why: str
    ) -> CallbackError:
        workflow = self.connection.workflow
        stands = standing(workflow, run.status, run.run_state)
        return kind(workflow.name, run.run_id, self.callback.name, stands, run.version, why)


def _digest(name: str, target: str, payload: bytes) -> bytes:
    """Make the digest of what a key is used for."""
    digest = blake2b(digest_size=DIGEST_SIZE)
    for part in (name.encode(), target.encode(), payload):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
