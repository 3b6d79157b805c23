"""The table of the methods that are served: what each takes, returns and allows.

The table is derived from the signatures of the ports, and used by both sides. The arguments of a
method travel as a struct whose fields are its parameters. So a parameter that has a default may be
added at any time: older code does not send it, and ignores it.
"""

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, cast

import msgspec

from workflow_ray.errors import StoreError, WriteRejected
from workflow_ray.ports import STORE_PORTS
from workflow_ray.ports.methods import PortMethod, methods_of
from workflow_ray.runtime.ipc.answers import Answer, revived
from workflow_ray.runtime.ipc.served import ServerMethods


class Method:
    """One method, with the encoding of its arguments and of its answer.

    Attributes:
        name: As the port has it.
        declared: The function in the port's class.
        is_long_poll: Whether it has a `wait` in seconds. Cancelling it loses nothing.
        is_repeatable: Whether it may be called again where its outcome is unknown.
        arguments: A struct. Its constructor takes what the method takes, with the same defaults.
    """

    def __init__(self, method: PortMethod) -> None:
        self.name = method.name
        self.declared = method.declared
        self.is_long_poll = method.is_long_poll
        self.is_repeatable = method.is_repeatable
        self.arguments = _arguments(method)
        # They are the last fields of `arguments`.
        self._named = [each.name for each in method.parameters if each.kind is each.KEYWORD_ONLY]
        self._decode_arguments = msgspec.msgpack.Decoder(self.arguments).decode
        self._decode_answer = msgspec.msgpack.Decoder[Any](_answer_type(method.returns)).decode

    def request(self, arguments: msgspec.Struct) -> bytes:
        """Encode the arguments.

        Raises WriteRejected: they contain text that can be neither encoded nor stored.
        """
        try:
            return _encode(arguments)
        except UnicodeEncodeError as error:
            raise WriteRejected(
                f"{self.name} is called with text that is not Unicode: {error}"
            ) from error

    async def perform(self, function: Callable[..., Awaitable[object]], body: bytes) -> bytes:
        """Call the function with the arguments of a request, and encode what it returns."""
        try:
            arguments = self._decode_arguments(body)
        except msgspec.DecodeError as error:
            raise _other_code(f"the arguments of {self.name!r}", error) from error
        values = msgspec.structs.astuple(arguments)
        if self._named:
            count = len(values) - len(self._named)
            value = await function(
                *values[:count], **dict(zip(self._named, values[count:], strict=True))
            )
        else:
            value = await function(*values)
        return _encode(Answer(value))

    def result(self, body: bytes) -> Any:
        """Return what the method returned, of its port's type; raise what it raised."""
        try:
            answer = self._decode_answer(body)
        except msgspec.DecodeError as error:
            raise _other_code(f"the answer to {self.name!r}", error) from error
        if answer.raised is not None:
            raise revived(answer.raised)
        return answer.value


def _arguments(method: PortMethod) -> type[msgspec.Struct]:
    positional: list[tuple[str, Any, Any]] = []
    named: list[tuple[str, Any, Any]] = []
    for each in method.parameters:
        default = msgspec.NODEFAULT if each.default is inspect.Parameter.empty else each.default
        fields = named if each.kind is each.KEYWORD_ONLY else positional
        fields.append((each.name, each.annotation, default))
    base = msgspec.defstruct(f"{method.name}_positional", positional)
    return msgspec.defstruct(method.name, named, bases=(base,), kw_only=True)


def _answer_type(returns: Any) -> Any:
    return Answer[returns]  # a function, because a type checker does not know this type


def _plain(value: object) -> object:
    """A collection of a type that msgspec does not know, such as a dictionary's keys."""
    if isinstance(value, Mapping):
        return dict(cast(Mapping[object, object], value))
    if isinstance(value, Collection):
        return list(cast(Collection[object], value))
    raise NotImplementedError(f"{type(value).__name__} can't be sent to another process")


_encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode


def _other_code(what: str, error: msgspec.DecodeError) -> StoreError:
    return StoreError(
        "the store",
        f"{what} can't be decoded ({error}): the store and its caller run different code. Upgrade"
        " both",
    )


METHODS = {name: Method(method) for name, method in methods_of(ServerMethods, *STORE_PORTS).items()}
ABOUT = METHODS[ServerMethods.about.__name__]
PROCESS = METHODS[ServerMethods.process.__name__]
