"""Keys of encryption, and where they are read from."""

import base64
import binascii
import os
import re
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from workflow_ray.errors import InvalidInput

SIZE = 32
"""The bytes of a key: AES-256."""
MAX_ID = 40
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
NAMES = f"1 to {MAX_ID} of A-Z a-z 0-9 . _ -, a letter or digit first"
SHAPE = f"name:key, where the name has {NAMES}, and the key is 32 bytes in base64"


class Key(NamedTuple):
    """A key and its name. The name is stored with what the key encrypts, and is not secret."""

    name: str
    secret: bytes

    def __repr__(self) -> str:
        return f"<key {self.name}>"


Keys: TypeAlias = Callable[[], Iterable[str]]
"""Returns keys as texts, each `name:key`, the newest first."""


def new_key(name: str) -> str:
    """Make a new random key, as a text for `Encryption`.

    Args:
        name: 1 to 40 of A-Z a-z 0-9 . _ -, for example the month. Each key has its own.

    Raises:
        InvalidInput: The name can't be used.
    """
    if not is_name(_checked_text("name", name)):
        raise InvalidInput("name", f"use {NAMES}")
    return f"{name}:{base64.b64encode(secrets.token_bytes(SIZE)).decode()}"


def keys_from_env(variable: str) -> Keys:
    """Read the keys from an environment variable: `name:key`, separated by commas or spaces, the
    newest first. It is read when a key is needed.
    """
    name = _checked_text("variable", variable)
    return lambda: re.split(r"[\s,]+", os.environ.get(name, "").strip())


def keys_from_file(path: str | Path) -> Keys:
    """Read the keys from a file: one `name:key` a line, the newest first. It is read when a key is
    needed, and again when an unknown key is met, so that keys can be added while processes run.
    """
    place = Path(_checked_text("path", str(path) if isinstance(path, Path) else path))

    def read() -> list[str]:
        try:
            lines = place.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise InvalidInput("the file of keys", f"{place} can't be read: {why}") from None
        return [line for line in lines if not line.lstrip().startswith("#")]

    return read


def parsed_keys(texts: Iterable[Any]) -> list[Key]:
    """Read keys, the newest first. Raises InvalidInput, which never shows a key."""
    keys = [_parsed(text) for text in texts if text.strip()]
    names = [key.name for key in keys]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput("keys", f"two have the name {name!r}; give each its own")
    return keys


def is_name(name: str) -> bool:
    return len(name) <= MAX_ID and _ID.fullmatch(name) is not None


def _parsed(text: str) -> Key:
    name, colon, encoded = text.strip().partition(":")
    try:
        secret = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not colon or not is_name(name) or len(secret) != SIZE:
        raise InvalidInput("keys", f"one is not {SHAPE}; `new_key` makes one")
    return Key(name, secret)


def _checked_text(what: str, text: Any) -> str:
    if not isinstance(text, str) or not text:
        raise InvalidInput(what, f"it is a text, not {text!r}")
    return text
