"""The keys of an encryption in this process."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from workflow_ray.codecs.keys import Key, Keys, parsed_keys
from workflow_ray.codecs.sealing import cipher, derived
from workflow_ray.errors import EncryptionKeyMissing, InvalidInput

AGAIN = 10.0
"""Seconds after which the keys are read again for a name that is unknown."""


class Keyring:
    """Reads the keys at their first use, and derives further ones from them. Thread-safe.

    Args:
        keys: Keys as texts, the newest first, or what returns them.
    """

    def __init__(self, keys: Iterable[str] | Keys) -> None:
        self._read: Callable[[], Iterable[str]]
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._read_at: float | None = None
        if callable(keys):
            self._read = keys
        else:
            texts = checked_texts(keys)
            self._read = lambda: texts
            if not parsed_keys(texts):
                raise InvalidInput("keys", "it is empty; hand in one key at least")

    def newest(self) -> Key:
        """Return the key that encrypts. Raises EncryptionKeyMissing: there are no keys."""
        keys = self._known()
        if not keys:
            raise EncryptionKeyMissing(None)
        return next(iter(keys.values()))

    def get(self, name: str) -> Key | None:
        """Return the key of that name. None: this process does not have it."""
        return self._known().get(name) or self._known(again=AGAIN).get(name)

    def all(self) -> Sequence[Key]:
        """Return the keys, the newest first."""
        return list(self._known().values())

    def cipher(self, key: Key, *purpose: str) -> Any:
        """Make the AESGCM of a key for one purpose."""
        return cipher(derived(key.secret, *purpose))

    def _known(self, *, again: float | None = None) -> dict[str, Key]:
        """Return the keys by name. With `again` they are read again if that is longer ago."""
        with self._lock:
            now = time.monotonic()
            if self._read_at is None or (again is not None and now - self._read_at >= again):
                self._keys = {key.name: key for key in parsed_keys(checked_texts(self._read()))}
                self._read_at = now if self._keys else None
            return self._keys


def checked_texts(texts: Any) -> list[str]:
    """Return the texts of keys. Raises InvalidInput, which never shows one."""
    if isinstance(texts, str | bytes) or not hasattr(texts, "__iter__"):
        raise InvalidInput("keys", "hand in a list of keys as texts, or what returns one")
    found = list[Any](texts)
    if not all(isinstance(text, str) for text in found):
        raise InvalidInput("keys", "one of them is not a text; `new_key` makes one")
    return found
