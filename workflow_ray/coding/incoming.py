"""What of a store's answers is decoded."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from workflow_ray.coding.chains import Chains, Code
from workflow_ray.coding.outgoing import NO_RUN, holds_events
from workflow_ray.ports import Payload
from workflow_ray.records import (
    BATCH_DATA,
    Committed,
    ErrorDetail,
    GroupResult,
    HistoryEntry,
    Kept,
    Message,
    OnceAnswer,
    OnceResult,
    Received,
    Record,
    RunId,
    SetAside,
)
from workflow_ray.records.encoded import from_text, is_encoded, size_of, why_unreadable

T = TypeVar("T")


class Incoming:
    """Decodes answers of a store, by one walk over them."""

    def __init__(self, chains: Chains, code: Code) -> None:
        self._chains = chains
        self._code = code

    def record(self, record: Record) -> Record:
        workflow, run_id = record.workflow, record.run_id
        if self._chains.of(workflow) is None:
            return record
        data = self._bytes(Payload(workflow, run_id, "data", record.data))
        reason = self._some(workflow, run_id, record.reason)
        if data is record.data and reason is record.reason:
            return record
        return replace(record, data=data, reason=reason)

    def known(self, record: Record | None) -> Record | None:
        return None if record is None else self.record(record)

    def received(self, received: Received) -> Received:
        if received.record is None:
            return received
        return replace(received, record=self.record(received.record))

    def entry(self, entry: HistoryEntry) -> HistoryEntry:
        own, run_id = self._chains.own, entry.run_id
        data = entry.data
        if data is not None:
            data = self._bytes(Payload(own, run_id, "data", data))
        return replace(
            entry,
            data=data,
            reason=self._some(own, run_id, entry.reason),
            error=self._error(own, run_id, entry.error),
        )

    def message(self, message: Message) -> Message:
        workflow, run_id = message.key.workflow, message.run_id
        return replace(
            message,
            payload=self._bytes(Payload(workflow, run_id, "message", message.payload)),
            reason=self._some(workflow, run_id, message.reason),
        )

    def result(self, result: OnceResult) -> OnceResult:
        payload = Payload(self._chains.own, result.run_id, "result", result.result)
        return replace(result, result=self._bytes(payload))

    def set_aside(self, entry: SetAside) -> SetAside:
        own = self._chains.own
        if not holds_events(own, entry.key.group):
            return entry
        return replace(
            entry,
            event=self._bytes(Payload(own, NO_RUN, "event", entry.event)),
            error=self._text(own, NO_RUN, entry.error),
        )

    def committed(self, answer: GroupResult) -> GroupResult:
        if not isinstance(answer, Committed) or not answer.once:
            return answer
        return replace(answer, once=tuple(self._once(each) for each in answer.once))

    def _once(self, answer: OnceAnswer) -> OnceAnswer:
        if not isinstance(answer, Kept):
            return answer
        payload = Payload(self._chains.own, answer.run_id, "result", answer.result)
        return replace(answer, result=self._bytes(payload))

    def _error(self, workflow: str, run_id: RunId, error: ErrorDetail | None) -> ErrorDetail | None:
        if error is None:
            return None
        return replace(
            error,
            message=self._text(workflow, run_id, error.message),
            trace=self._some(workflow, run_id, error.trace),
        )

    def _bytes(self, payload: Payload) -> bytes:
        return self._code(payload) if is_encoded(payload.data) else payload.data

    def _some(self, workflow: str, run_id: RunId, text: str | None) -> str | None:
        return None if text is None else self._text(workflow, run_id, text)

    def _text(self, workflow: str, run_id: RunId, text: str) -> str:
        data = None if self._chains.of(workflow) is None else from_text(text)
        if data is None:
            return text
        decoded = self._code(Payload(workflow, run_id, "text", data))
        why = why_unreadable(decoded)
        return decoded.decode(errors="replace") if why is None else f"({why})"


def first_of(items: Sequence[T], data_of: Callable[[T], bytes | None]) -> Sequence[T]:
    """Return the first items: the one whose data exceeds BATCH_DATA in all is the last one.

    The store has counted the encoded bytes, which may be far fewer.
    """
    left = BATCH_DATA
    for at, item in enumerate(items):
        left -= size_of(data_of(item))
        if left < 0:
            return items[: at + 1]
    return items
