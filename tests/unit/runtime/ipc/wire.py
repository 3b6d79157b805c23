"""What goes over the wire, as text: golden/wire.txt holds it.

`make wire` (`python -m tests.unit.runtime.ipc.wire`) renews that file.

Processes of different releases talk to each other. So under one PROTOCOL an entry may only gain
fields, which older code ignores; for any other change raise PROTOCOL, and say in the changelog that
both sides have to be upgraded together.
"""

import asyncio
import sys
from pathlib import Path
from pprint import pformat
from typing import Any, cast

import msgspec

from tests.unit.runtime.ipc.cases import CASES, ERRORS, FENCE, NOW, Case, sample
from tests.unit.runtime.ipc.pipe import End, written
from tests.unit.runtime.ipc.serving import SERVED
from workflow_ray.runtime.ipc.answers import refusal
from workflow_ray.runtime.ipc.frames import Frame, Kind
from workflow_ray.runtime.ipc.methods import ABOUT, METHODS, PROCESS
from workflow_ray.runtime.process_status import ProcessStatus, RolePhase, RoleStatus

PROTOCOL = 1
"""The version of the frames and of the bodies in them."""
GOLDEN = Path(__file__).parent / "golden" / "wire.txt"
COMMAND = "make wire"
ABOUT_STORE = msgspec.structs.replace(SERVED, timeouts_apart=True)
PROCESS_STATUS = ProcessStatus(
    host="h",
    pid=7,
    since=NOW,
    roles=(
        RoleStatus(
            name=FENCE.role,
            phase=RolePhase.WAITING,
            since=NOW,
            in_flight=2,
            abandoned=3,
            breaker="open",
            removed={"completed": 50},
            failures=1,
            why="boom",
            failed_at=NOW,
        ),
    ),
)
SERVED_CASES = {
    ABOUT.name: Case([], {}, ABOUT_STORE),
    PROCESS.name: Case([], {}, PROCESS_STATUS),
    **CASES,
}
_REQUEST = 7
_BYTES = "= "  # begins a line of hexadecimal digits
_ROW = 48  # bytes in such a line


class IncompatibleChange(Exception):
    """Older processes could not read what is sent now, and PROTOCOL is the same."""


async def entries() -> dict[str, bytes]:
    """Return the frames by title: every call, answer and error, and the frames without a body."""
    frames = {
        "cancel": Frame(Kind.CANCEL, _REQUEST),
        "ping": Frame(Kind.PING),
        "pong": Frame(Kind.PONG),
    }
    for name in sorted(METHODS):
        method, case = METHODS[name], SERVED_CASES[name]
        request = method.request(method.arguments(*case.arguments, **case.named))
        frames[f"call {name}"] = Frame(Kind.CALL, _REQUEST, name, request)
        frames[f"answer {name}"] = await _answer(name, case.answer)
        if case.also is not None:
            frames[f"answer {name}, also"] = await _answer(name, case.also)
    for kind in sorted(ERRORS, key=lambda kind: kind.__name__):
        frames[f"error {kind.__name__}"] = Frame(Kind.ANSWER, _REQUEST, body=refusal(sample(kind)))
    return {title: b"".join(await written(frame)) for title, frame in frames.items()}


async def _answer(name: str, value: object) -> Frame:
    method, case = METHODS[name], SERVED_CASES[name]

    async def perform(*_: object, **__: object) -> object:
        return value

    request = method.request(method.arguments(*case.arguments, **case.named))
    return Frame(Kind.ANSWER, _REQUEST, body=await method.perform(perform, request))


def frame_of(data: bytes) -> Frame:
    """Read one frame, as a connection does."""
    end = End()
    end.read(data)
    assert end.reasons == [], end.reasons
    return end.frames[0]


def text_of(protocol: int, frames: dict[str, bytes]) -> str:
    """Write the frames as text: for each the title, the decoded body, and the bytes."""
    entries = [f"protocol {protocol}", *(_entry(*item) for item in frames.items())]
    return "\n".join(entries) + "\n"


def _entry(title: str, data: bytes) -> str:
    body = frame_of(data).body
    head = data[: len(data) - len(body)]
    rows = [head, *(body[start : start + _ROW] for start in range(0, len(body), _ROW))]
    lines = [
        f"[{title}]",
        *([pformat(decoded_body(data), width=98, sort_dicts=False)] if body else []),
        *(f"{_BYTES}{row.hex()}" for row in rows),
    ]
    return "\n" + "\n".join(lines)


def decoded_body(data: bytes) -> object:
    """Decode a frame's body without knowing its type."""
    body = frame_of(data).body
    return msgspec.msgpack.decode(body) if body else None


def parsed(text: str) -> tuple[int, dict[str, bytes]]:
    """Read the protocol and the frames from text."""
    first, *entries = text.split("\n\n")
    frames: dict[str, bytes] = {}
    for entry in entries:
        title, *lines = entry.splitlines()
        rows = (line.removeprefix(_BYTES) for line in lines if line.startswith(_BYTES))
        frames[title.strip("[]")] = bytes.fromhex("".join(rows))
    return int(first.removeprefix("protocol ")), frames


def check_renewal(protocol: int, old: dict[str, bytes], new: dict[str, bytes]) -> None:
    """Refuse a change that the protocol does not allow.

    Raises IncompatibleChange.
    """
    if protocol != PROTOCOL:
        return
    for title, data in old.items():
        if title not in new:
            raise IncompatibleChange(f"{title!r} is gone")
        if not _extends(_comparable(new[title]), _comparable(data)):
            raise IncompatibleChange(f"{title!r} has lost or changed something")


def _comparable(data: bytes) -> object:
    frame = frame_of(data)
    return {"frame": [frame.kind, frame.request, frame.name], "body": decoded_body(data)}


def _extends(new: object, old: object) -> bool:
    """Whether the new value is the old one, with fields added at most."""
    match new, old:
        case dict(), dict():
            fields, known = cast(dict[Any, object], new), cast(dict[Any, object], old)
            return all(key in fields and _extends(fields[key], known[key]) for key in known)
        case list(), list():
            mine, others = cast(list[object], new), cast(list[object], old)
            pairs = zip(mine, others, strict=False)
            return len(mine) == len(others) and all(_extends(*pair) for pair in pairs)
        case _:
            return type(new) is type(old) and new == old


async def _renew() -> None:
    new = await entries()
    if GOLDEN.exists():
        protocol, old = parsed(GOLDEN.read_text())
        check_renewal(protocol, old, new)
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(text_of(PROTOCOL, new))


if __name__ == "__main__":
    try:
        asyncio.run(_renew())
    except IncompatibleChange as error:
        sys.exit(f"{error}: raise PROTOCOL, or keep what older code reads")
