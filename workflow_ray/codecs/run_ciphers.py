"""The keys of single runs, each encrypted by a key of the keyring."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workflow_ray.codecs.keyring import Keyring
from workflow_ray.codecs.keys import SIZE, Key
from workflow_ray.codecs.sealing import cipher, seal, unseal
from workflow_ray.errors import EncryptionKeyMissing
from workflow_ray.ports import RunKeys, Unreadable
from workflow_ray.records import RunId

CACHED = 10_000
"""The most runs whose keys are kept in memory."""
KEPT = 600.0
"""Seconds for which a key is kept in memory. After that a deleted key can't be used anywhere."""
PAGE = 500
"""Keys that are encrypted again at once."""
PURPOSE = "keys of runs"


class RunCiphers:
    """Makes the ciphers of runs, and keeps those that were used last. Thread-safe."""

    def __init__(self, keyring: Keyring, store: RunKeys) -> None:
        self._keyring = keyring
        self._store = store
        self._lock = threading.Lock()
        self._cached = OrderedDict[RunId, tuple[Any, float]]()

    async def made(self, run_ids: Sequence[RunId]) -> dict[RunId, Any]:
        """Return the ciphers of runs, and make keys for runs that have none.

        Raises:
            EncryptionKeyMissing: The key that encrypts one of them is not at hand.
        """
        found, missing = self._known(run_ids)
        if missing:
            newest = self._keyring.newest()
            new = {run_id: secrets.token_bytes(SIZE) for run_id in missing}
            wrapped = {run_id: self._wrapped(newest, run_id, key) for run_id, key in new.items()}
            stored = await self._store.add(wrapped)
            for run_id, text in stored.items():
                key = new[run_id] if text == wrapped[run_id] else self._unwrapped(run_id, text)
                if isinstance(key, Unreadable):
                    raise EncryptionKeyMissing(_name_of(text))
                found[run_id] = self._keep(run_id, key)
        return found

    async def read(self, run_ids: Sequence[RunId]) -> dict[RunId, Any | Unreadable]:
        """Return the ciphers of runs, or why they can't be had."""
        found: dict[RunId, Any | Unreadable]
        found, missing = self._known(run_ids)
        if missing:
            stored = await self._store.get(missing)
            for run_id in missing:
                found[run_id] = self._read(run_id, stored)
        return found

    async def delete(self, run_ids: Sequence[RunId]) -> None:
        """Delete the keys of runs."""
        with self._lock:
            for run_id in run_ids:
                self._cached.pop(run_id, None)
        await self._store.delete(run_ids)

    async def runs(self, *, after: RunId | None, limit: int) -> list[RunId]:
        """List the runs that have keys, by run id, above `after`."""
        return sorted(await self._store.page(after=after, limit=limit))

    async def rewrap(self) -> int:
        """Encrypt all keys of runs with the newest key. Returns how many were not."""
        newest, number, after = self._keyring.newest(), 0, None
        while page := await self._store.page(after=after, limit=PAGE):
            after = max(page)
            old = {run_id: text for run_id, text in page.items() if _name_of(text) != newest.name}
            changed: dict[RunId, tuple[bytes, bytes]] = {}
            for run_id, text in old.items():
                key = self._unwrapped(run_id, text)
                if isinstance(key, Unreadable):
                    raise EncryptionKeyMissing(_name_of(text))
                changed[run_id] = text, self._wrapped(newest, run_id, key)
            if changed:
                await self._store.replace(changed)
                number += len(changed)
        return number

    def _known(self, run_ids: Iterable[RunId]) -> tuple[dict[RunId, Any], list[RunId]]:
        """Return the ciphers that are in memory, and the runs of which none is."""
        found: dict[RunId, Any] = {}
        missing: list[RunId] = []
        now = time.monotonic()
        with self._lock:
            for run_id in dict.fromkeys(run_ids):
                kept = self._cached.get(run_id)
                if kept is None or kept[1] < now:
                    missing.append(run_id)
                else:
                    self._cached.move_to_end(run_id)
                    found[run_id] = kept[0]
        return found, missing

    def _keep(self, run_id: RunId, key: bytes) -> Any:
        made = cipher(key)
        with self._lock:
            self._cached[run_id] = made, time.monotonic() + KEPT
            self._cached.move_to_end(run_id)
            while len(self._cached) > CACHED:
                self._cached.popitem(last=False)
        return made

    def _read(self, run_id: RunId, stored: Mapping[RunId, bytes]) -> Any | Unreadable:
        if run_id not in stored:
            return Unreadable("the key of this run was deleted, and with it the data")
        key = self._unwrapped(run_id, stored[run_id])
        return key if isinstance(key, Unreadable) else self._keep(run_id, key)

    def _wrapped(self, by: Key, run_id: RunId, key: bytes) -> bytes:
        name = by.name.encode()
        sealed = seal(self._keyring.cipher(by, PURPOSE), key, run_id.encode())
        return bytes([len(name)]) + name + sealed

    def _unwrapped(self, run_id: RunId, text: bytes) -> bytes | Unreadable:
        name = _name_of(text)
        by = self._keyring.get(name)
        if by is None:
            return Unreadable(f"key {name!r} of the encryption is missing in this process")
        sealed = text[1 + text[0] :]
        key = unseal(self._keyring.cipher(by, PURPOSE), sealed, run_id.encode())
        return Unreadable("the key of this run was changed") if key is None else key


def _name_of(text: bytes) -> str:
    """Return the name of the key that encrypts a stored key."""
    return text[1 : 1 + text[0]].decode(errors="replace") if text else ""
