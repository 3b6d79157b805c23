"""What a server tells of its own process, beside the methods of its store."""

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from workflow_ray.runtime.ipc.answers import Answer, revived
from workflow_ray.runtime.ipc.transport import Transport
from workflow_ray.runtime.process_status import ProcessStatus

PROCESS = "process"
"""The name of the request. It has no arguments."""
PATIENCE = 5.0
"""Seconds for an answer."""
Process: TypeAlias = Callable[[], ProcessStatus | None]
"""Tells the status of the server's process; None: it only serves the store, as on Ray."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Answer[ProcessStatus | None]).decode


def process_answer(process: Process) -> bytes:
    """Encode the status of this process."""
    return _encode(Answer(process()))


async def process_at(transport: Transport) -> ProcessStatus | None:
    """Ask for the status of the process that serves the store; None: it runs no roles.

    Raises:
        StoreUnavailable: It does not answer.
        StoreError: It runs older code, which can't tell.
    """
    answer = _decode(await transport.call(PROCESS, b"", deadline=PATIENCE))
    if answer.raised is not None:
        raise revived(answer.raised)
    return None if answer.value is msgspec.UNSET else answer.value
