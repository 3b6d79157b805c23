"""The methods of the store as they travel.

Everything is derived from the ports: a method's arguments are a struct with its parameters as
fields. A parameter that has a default may be added at any time, and is not known to older code.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any, Protocol, cast

import msgspec

from workflow_ray.errors import StoreError, StoreUnavailable, WorkflowError, WriteRejected
from workflow_ray.ports import OutboxMover, Store, Trimmer
from workflow_ray.ports.methods import PortMethod, methods_of
from workflow_ray.runtime.ipc.answers import Answer, is_known, refusal, revived
from workflow_ray.runtime.mixed import keeps_timeouts_apart

_log = logging.getLogger(__name__)


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a client has to know of a store before it calls a method.

    Attributes:
        moves: It is an OutboxMover.
        trims: It is a Trimmer.
        timeouts_apart: Its timeouts are in another store than its records.
    """

    store_id: str
    stream_id: str
    moves: bool
    trims: bool = False
    timeouts_apart: bool = False


class _Described(Protocol):
    async def about(self) -> About: ...


class Method:
    """One method of the store: how its arguments and its answer are encoded and decoded.

    Attributes:
        waits: It is a long poll, which may be cut short without loss.
        arguments: A struct. It is built as the method is called, with the same defaults.
    """

    def __init__(self, method: PortMethod) -> None:
        self.name = method.name
        self.waits = method.waits
        self.arguments = _arguments(method)
        # the last fields
        self._named = [each.name for each in method.parameters if each.kind is each.KEYWORD_ONLY]
        self._decode_arguments = msgspec.msgpack.Decoder(self.arguments).decode
        self._decode_answer = msgspec.msgpack.Decoder[Any](_answer_type(method.answers)).decode

    def request(self, arguments: msgspec.Struct) -> bytes:
        """The body of a request.

        Raises WriteRejected: it has text that can't be encoded, nor stored.
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


def _answer_type(answers: Any) -> Any:
    # evaluated here and not by a type checker: the type is known at run time only
    return Answer[answers]


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


ABOUT = Method(methods_of(_Described)["about"])
METHODS = {name: Method(method) for name, method in methods_of(Store, OutboxMover, Trimmer).items()}


async def _about(store: Store) -> About:
    return About(
        store_id=store.store_id,
        stream_id=store.stream_id,
        moves=isinstance(store, OutboxMover),
        trims=isinstance(store, Trimmer),
        timeouts_apart=keeps_timeouts_apart(store),
    )


async def answer(store: Store, method: str, body: bytes) -> bytes:
    """Do what a request asks and encode the outcome, errors included.

    Raises nothing but CancelledError.
    """
    try:
        if method == ABOUT.name:
            return await ABOUT.perform(partial(_about, store), body)
        if method not in METHODS:
            raise StoreError(
                "the store",
                f"doesn't know {method!r}: it runs older code than its caller. Upgrade the"
                " deployment",
            )
        function = getattr(store, method, None)  # None: an optional port's
        if function is None:
            raise StoreError("the store", f"has no {method!r}, because its events are elsewhere")
        return await METHODS[method].perform(function, body)
    except Exception as error:
        if isinstance(error, WorkflowError) and is_known(error):
            return refusal(error)
        _log.exception("the store failed in %s", method, extra={"method": method})
        return refusal(
            StoreUnavailable(
                "the store", f"{method} failed there ({type(error).__name__}); its log says more"
            )
        )
