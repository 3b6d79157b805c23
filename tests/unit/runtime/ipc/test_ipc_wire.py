"""What goes over the wire changes on purpose only, so that different releases understand it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec
import pytest
from msgspec import inspect

from tests.unit.runtime.ipc.cases import CASES, ERRORS, sample
from tests.unit.runtime.ipc.loopback import RecordingStore
from tests.unit.runtime.ipc.pipe import written
from tests.unit.runtime.ipc.wire import (
    COMMAND,
    GOLDEN,
    PROCESS_STATUS,
    PROTOCOL,
    SERVED_CASES,
    IncompatibleChange,
    check_renewal,
    entries,
    frame_of,
    parsed,
    text_of,
)
from workflow_ray.ports import STORE_PORTS, Store, SystemClock
from workflow_ray.ports.methods import methods_of
from workflow_ray.runtime.ipc import answer
from workflow_ray.runtime.ipc.frames import Frame, Kind
from workflow_ray.runtime.ipc.methods import METHODS
from workflow_ray.runtime.ipc.served import Served, ServerMethods
from workflow_ray_adapters.memory import MemoryStore


def golden() -> dict[str, bytes]:
    return parsed(GOLDEN.read_text())[1]


async def test_the_bytes_on_the_wire_are_those_in_the_golden_file() -> None:
    changed = text_of(PROTOCOL, await entries()) != GOLDEN.read_text()
    assert not changed, f"the wire format has changed; if on purpose, run `{COMMAND}`"


@pytest.mark.parametrize("name", sorted(CASES))
async def test_the_golden_call_and_answer_of_each_method_are_understood(name: str) -> None:
    case, call = SERVED_CASES[name], frame_of(golden()[f"call {name}"])
    today, then = RecordingStore(case.answer), RecordingStore(case.answer)
    await getattr(today, name)(*case.arguments, **case.named)
    await answer(Served(cast(Store, then)), call.name, call.body)
    assert then.calls == today.calls
    result = METHODS[name].result(frame_of(golden()[f"answer {name}"]).body)
    assert result == case.answer
    if case.also is not None:
        also = METHODS[name].result(frame_of(golden()[f"answer {name}, also"]).body)
        assert also == case.also


@pytest.mark.parametrize("name", sorted(methods_of(ServerMethods)))
async def test_the_golden_call_and_answer_of_each_server_method_are_understood(name: str) -> None:
    call, expected = frame_of(golden()[f"call {name}"]), SERVED_CASES[name].answer
    served = Served(MemoryStore(SystemClock()), lambda: PROCESS_STATUS)
    body = await answer(served, call.name, call.body)
    assert type(METHODS[name].result(body)) is type(expected)
    assert METHODS[name].result(frame_of(golden()[f"answer {name}"]).body) == expected


@pytest.mark.parametrize("kind", ERRORS)
async def test_the_golden_answer_of_each_error_raises_it(kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        METHODS["leave"].result(frame_of(golden()[f"error {kind.__name__}"]).body)
    assert str(caught.value) == str(sample(cast(Any, kind)))


def test_every_field_that_travels_has_a_value_in_some_case() -> None:
    """Else the golden file would not hold how that field travels."""
    given: set[tuple[type, str]] = set()
    for name, case in SERVED_CASES.items():
        given.update(fields_given(METHODS[name].arguments(*case.arguments, **case.named)))
        given.update(fields_given([case.answer, case.also]))
    missing = {
        f"{kind.__name__}.{field}"
        for kind in structs_that_travel()
        for field in kind.__struct_fields__
        if (kind, field) not in given
    }
    assert not missing, f"give them a value in cases.py, then run `{COMMAND}`"


def fields_given(value: object) -> Iterator[tuple[type, str]]:
    """Find the fields of structs in the value that differ from their defaults."""
    match value:
        case msgspec.Struct():
            for field in msgspec.structs.fields(value):
                content = getattr(value, field.name)
                if field.required or content != field_default(field):
                    yield type(value), field.name
                yield from fields_given(content)
        case Mapping():
            for key, content in cast(Mapping[object, object], value).items():
                yield from (*fields_given(key), *fields_given(content))
        case list() | tuple():
            for content in cast(Sequence[object], value):
                yield from fields_given(content)
        case _:
            pass


def field_default(field: msgspec.structs.FieldInfo) -> object:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def structs_that_travel() -> set[type[msgspec.Struct]]:
    """Find the arguments of every method, and the structs within arguments and answers."""
    found: set[type[msgspec.Struct]] = set()
    answers = [method.returns for method in methods_of(ServerMethods, *STORE_PORTS).values()]
    roots = [*(method.arguments for method in METHODS.values()), *answers]
    unseen: list[object] = [*inspect.multi_type_info(roots)]
    while unseen:
        kind = unseen.pop()
        if isinstance(kind, inspect.StructType) and kind.cls not in found:
            found.add(kind.cls)
            unseen.extend(field.type for field in kind.fields)
        elif not isinstance(kind, inspect.StructType):
            unseen.extend(parts_of(kind))
    return found


def parts_of(kind: object) -> Iterator[object]:
    """List the types that a collection or a union is made of."""
    for name in ("item_type", "key_type", "value_type"):
        if hasattr(kind, name):
            yield getattr(kind, name)
    for name in ("item_types", "types"):
        yield from getattr(kind, name, ())


async def call(**arguments: object) -> dict[str, bytes]:
    frame = Frame(Kind.CALL, 1, "look", msgspec.msgpack.encode(arguments))
    return {"call look": b"".join(await written(frame))}


async def test_under_one_protocol_an_entry_may_only_gain_fields() -> None:
    old = await call(run="r", query={"limit": 1})
    check_renewal(PROTOCOL, old, await call(run="r", query={"limit": 1, "at": 2}, deep=True))
    check_renewal(PROTOCOL, old, {**old, "call other": b""})
    for change in (
        await call(run="r"),
        await call(run="s", query={"limit": 1}),
        await call(run="r", query={"limit": 1.0}),
        await call(run="r", query=[1]),
        {},
    ):
        with pytest.raises(IncompatibleChange, match="'call look'"):
            check_renewal(PROTOCOL, old, change)
        check_renewal(PROTOCOL - 1, old, change)  # the protocol has been raised since
