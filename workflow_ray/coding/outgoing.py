"""What of a group of writes is encoded: everything that holds data of the user."""

from msgspec.structs import replace

from workflow_ray.coding.chains import Chains, Code
from workflow_ray.engine.next_version import CASCADED
from workflow_ray.ports import Payload
from workflow_ray.records import (
    ErrorDetail,
    MessageFailure,
    NewMessage,
    NewRun,
    NewSetAside,
    OnceResult,
    RunId,
    Write,
    WriteGroup,
    data_group,
    hooks_group,
)
from workflow_ray.records.encoded import as_text

NO_RUN = RunId("")
"""Stands for the run of what belongs to none."""


class Outgoing:
    """Encodes groups of writes, by one walk over them."""

    def __init__(self, chains: Chains, code: Code) -> None:
        self._chains = chains
        self._code = code

    def group(self, group: WriteGroup) -> WriteGroup:
        return replace(
            group,
            writes=tuple(self.write(each) for each in group.writes),
            messages=tuple(self._message(each) for each in group.messages),
            failures=tuple(self._failure(each) for each in group.failures),
            results=tuple(self._result(each) for each in group.results),
            set_aside=tuple(self._entry(each) for each in group.set_aside),
        )

    def write(self, write: Write) -> Write:
        workflow = self._chains.own if write.new is None else write.new.workflow
        children = tuple(replace(child, write=self.write(child.write)) for child in write.children)
        if self._chains.of(workflow) is None:
            return replace(write, children=children) if children else write
        data = write.data
        if data is not None:
            data = self._code(Payload(workflow, write.run_id, "data", data, write.erases))
        return replace(
            write,
            data=data,
            reason=self._some(workflow, write.run_id, write.reason, outlives=write.erases),
            error=self._error(workflow, write.run_id, write.error),
            new=None if write.new is None else self._new(write.new),
            children=children,
        )

    def _new(self, new: NewRun) -> NewRun:
        chain = self._chains.of(new.workflow)
        if new.digest is None or chain is None:
            return new
        return replace(new, digest=chain.digest(new.digest))

    def _error(self, workflow: str, run_id: RunId, error: ErrorDetail | None) -> ErrorDetail | None:
        if error is None:
            return None
        return replace(
            error,
            message=self._text(workflow, run_id, error.message),
            trace=self._some(workflow, run_id, error.trace),
        )

    def _message(self, message: NewMessage) -> NewMessage:
        workflow, run_id = message.key.workflow, message.run_id
        chain = self._chains.of(workflow)
        if chain is None or run_id is None:
            return message
        return replace(
            message,
            payload=self._code(Payload(workflow, run_id, "message", message.payload)),
            digest=None if message.digest is None else chain.digest(message.digest),
        )

    def _failure(self, failure: MessageFailure) -> MessageFailure:
        reason = self._text(failure.key.workflow, failure.run_id, failure.reason)
        return replace(failure, reason=reason)

    def _result(self, result: OnceResult) -> OnceResult:
        payload = Payload(self._chains.own, result.run_id, "result", result.result)
        return replace(result, result=self._code(payload))

    def _entry(self, entry: NewSetAside) -> NewSetAside:
        own = self._chains.own
        if not holds_events(own, entry.key.group) or self._chains.of(own) is None:
            return entry
        return replace(
            entry,
            event=self._code(Payload(own, NO_RUN, "event", entry.event)),
            error=self._text(own, NO_RUN, entry.error),
        )

    def _some(
        self, workflow: str, run_id: RunId, text: str | None, *, outlives: bool = False
    ) -> str | None:
        return None if text is None else self._text(workflow, run_id, text, outlives=outlives)

    def _text(self, workflow: str, run_id: RunId, text: str, *, outlives: bool = False) -> str:
        if not text or text == CASCADED or not self._chains.hides(workflow):
            return text
        payload = Payload(workflow, run_id, "text", text.encode(), outlives)
        return as_text(self._code(payload))


def holds_events(workflow: str, group: str) -> bool:
    """Whether the entries that the group sets aside hold an event, or the error of a function."""
    is_of_connector = group.startswith(f"{workflow}-") and group.endswith("-connector")
    return is_of_connector or group in (hooks_group(workflow), data_group(workflow))
