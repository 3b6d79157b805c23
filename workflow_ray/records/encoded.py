"""How bytes and texts look that a codec has encoded. They name the codec, and show nothing else."""

import base64
import binascii
from typing import NamedTuple

MARK = b"\x01"
"""The first byte of what is encoded. No JSON text begins with it."""
SIZE = 4
"""The bytes of the size in an envelope."""
MAX_CODEC_NAME = 40
"""The most characters of a codec's name."""
TEXT_MARK = "encoded:"
"""What an encoded text begins with. The base64 of an envelope comes after it."""
_UNREADABLE = MARK + b"\0"


class Envelope(NamedTuple):
    """What a codec has made of some bytes."""

    codec: str  # its name
    size: int  # bytes of what was encoded, before the first codec
    payload: bytes


def sealed(envelope: Envelope) -> bytes:
    """Return the envelope as bytes. `opened` is the inverse."""
    name = envelope.codec.encode("ascii")
    size = envelope.size.to_bytes(SIZE, "big")
    return b"%b%c%b%b%b" % (MARK, len(name), name, size, envelope.payload)


def opened(data: bytes) -> Envelope | None:
    """Read an envelope. None: the bytes are not encoded, or are damaged."""
    if not is_encoded(data) or len(data) < 2:
        return None
    start = 2 + data[1]
    if not data[1] or len(data) < start + SIZE:
        return None
    try:
        name = data[2:start].decode("ascii")
    except UnicodeDecodeError:
        return None
    return Envelope(name, int.from_bytes(data[start : start + SIZE], "big"), data[start + SIZE :])


def is_encoded(data: bytes) -> bool:
    """Whether a codec has made these bytes, or they stand for some that could not be decoded."""
    return data[:1] == MARK


def size_of(data: bytes | None) -> int:
    """The bytes of data as it is when it is decoded."""
    if data is None:
        return 0
    envelope = opened(data) if data[:1] == MARK else None
    return len(data) if envelope is None else envelope.size


def unreadable(why: str) -> bytes:
    """Return bytes that stand for some that could not be decoded."""
    return _UNREADABLE + why.encode()


def why_unreadable(data: bytes) -> str | None:
    """Say why bytes can't be read as JSON. None: they are not encoded."""
    if not is_encoded(data):
        return None
    if data.startswith(_UNREADABLE):
        return data[len(_UNREADABLE) :].decode(errors="replace")
    envelope = opened(data)
    if envelope is None:
        return "it is encoded, and damaged"
    return f"it is encoded by {envelope.codec!r}, a codec that is not at hand here"


def as_text(data: bytes) -> str:
    """Write encoded bytes as a text. `from_text` is the inverse."""
    return TEXT_MARK + base64.b64encode(data).decode("ascii")


def from_text(text: str) -> bytes | None:
    """Return the encoded bytes of a text. None: it is not encoded."""
    if not text.startswith(TEXT_MARK):
        return None
    try:
        data = base64.b64decode(text[len(TEXT_MARK) :], validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if is_encoded(data) else None


def readable(text: str) -> str:
    """Return the text, or in place of an encoded one why it can't be read."""
    data = from_text(text) if text.startswith(TEXT_MARK) else None
    return text if data is None else f"({why_unreadable(data)})"
