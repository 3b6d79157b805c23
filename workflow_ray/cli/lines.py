"""Reads a job's input: JSON lines, each with a foreign id and a workflow's data."""

import asyncio
import json
import os
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from pydantic import BaseModel, ValidationError

from workflow_ray.client.inputs import checked_data, checked_key
from workflow_ray.definition import Workflow
from workflow_ray.definition.labels import checked_labels
from workflow_ray.errors import InvalidInput
from workflow_ray.records import MAX_DATA

CHUNK = 256 * 1024
MAX_LINE = MAX_DATA + 64 * 1024
"""Bytes: the largest data that is allowed, and room for its foreign id."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line that can be triggered."""

    number: int  # in the input, from 1
    foreign_id: str
    data: BaseModel
    labels: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that can't be triggered, and why."""

    number: int
    why: str


class _Seen(NamedTuple):
    """The first line of a foreign id, and hashes of its data."""

    number: int
    written: int
    stored: int


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    foreign_id: str
    data: msgspec.Raw
    labels: dict[str, str] = {}


_WRITTEN = msgspec.json.Decoder(_Written)


async def read_lines(descriptor: int) -> AsyncIterator[list[bytes]]:
    """Read the input's lines, as soon as they are written.

    Never holds more than a chunk and a line; a line over MAX_LINE comes cut.
    """
    rest = b""
    while chunk := await _read_some(descriptor):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[: MAX_LINE + 1]
        if lines:
            yield lines
    if rest:
        yield [rest]


class Parser:
    """Parses lines of text into lines to trigger.

    Remembers the foreign ids: one must not be used for different data.
    """

    def __init__(self, workflow: Workflow[Any, Any]) -> None:
        self._workflow = workflow
        self._read = 0
        self._seen: dict[str, _Seen] = {}  # by foreign id
        self.repeats = 0
        """Lines that repeat an earlier one."""

    def parse(self, lines: Iterable[bytes]) -> Iterator[Line | Refused]:
        """Yield one result for each line, in order; none for an empty line or a repeat."""
        for text in lines:
            self._read += 1
            if self._read == 1:
                text = text.removeprefix(BOM_UTF8)
            if text.strip():
                try:
                    yield from self._parsed(self._read, text)
                except InvalidInput as error:
                    yield Refused(self._read, str(error))

    def _parsed(self, number: int, line: bytes) -> Iterator[Line]:
        written = _written(line)
        foreign_id = checked_key("foreign_id", written.foreign_id)
        labels = checked_labels("labels", written.labels)
        text = bytes(written.data)
        data = self._validated(text)
        seen = _Seen(number, hash(text), hash(checked_data(self._workflow, data)))
        first = self._seen.setdefault(foreign_id, seen)
        if first is seen:
            yield Line(number, foreign_id, data, labels)
        # the same text is not always stored as the same bytes: a default factory may make up an id
        elif first.written == seen.written or first.stored == seen.stored:
            self.repeats += 1
        else:
            raise InvalidInput(
                "foreign_id", f"{foreign_id!r} is on line {first.number} with other data"
            )

    def _validated(self, data: bytes) -> BaseModel:
        model: type[BaseModel] = self._workflow.data
        try:
            return model.model_validate_json(data)
        except ValidationError as error:
            raise InvalidInput("data", _reasons(error)) from None
        except Exception as error:  # whatever a model's validator raises refuses this line only
            raise InvalidInput(
                "data", f"{model.__name__} raised {type(error).__name__}: {error}"
            ) from None


def _written(text: bytes) -> _Written:
    if len(text) > MAX_LINE:
        raise InvalidInput("line", f"longer than {MAX_LINE} bytes")
    try:
        written = _WRITTEN.decode(text)
        # msgspec lets the last of several values win
        json.loads(text, object_pairs_hook=_refuse_duplicates, parse_int=str, parse_float=str)
        return written
    except RecursionError:
        raise InvalidInput("not JSON that can be read", "it is nested too deeply") from None
    except msgspec.ValidationError as error:
        raise InvalidInput('not {"foreign_id": text, "data": {...}}', str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("not JSON", str(error).removeprefix("JSON is malformed: ")) from None


def _refuse_duplicates(pairs: Sequence[tuple[str, object]]) -> None:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        twice = next(key for key, count in Counter(keys).items() if count > 1)
        raise InvalidInput("not clear", f"an object has the key {twice!r} twice")


def _reasons(error: ValidationError) -> str:
    """Describe pydantic's findings in one line, without the values: they may be personal."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(str(part) for part in each['loc']) or 'all of it'}: {each['msg']}"
        for each in found
    )


async def _read_some(descriptor: int) -> bytes:
    """Read some bytes, as soon as there are any; none at the end. Raises InvalidInput."""
    try:
        return await _read(descriptor)
    except OSError as error:
        raise InvalidInput("--input", f"it can't be read: {error.strerror}") from None


async def _read(descriptor: int) -> bytes:
    """Read without a thread, which would stay in the read when the caller is cancelled."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    try:
        loop.add_reader(descriptor, ready.set)
    except PermissionError:  # epoll refuses a plain file, which can always be read
        return os.read(descriptor, CHUNK)
    try:
        await ready.wait()
        return os.read(descriptor, CHUNK)
    finally:
        loop.remove_reader(descriptor)
