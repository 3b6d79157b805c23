"""Encryption of data by AES-256-GCM."""

import hmac
import threading
from asyncio import to_thread
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from workflow_ray.codecs.keyring import Keyring
from workflow_ray.codecs.keys import Key, Keys
from workflow_ray.codecs.run_ciphers import RunCiphers
from workflow_ray.codecs.sealing import binding, derived, seal, unseal
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import Payload, RunKeys, Unreadable, run_keys_of
from workflow_ray.records import RunId

MANY = 256 * 1024
"""Bytes from which a batch goes to a thread. They take some tenths of a millisecond."""
BY_KEY, BY_RUN_KEY = 0, 1
"""The first byte: which key has encrypted. The numbers are stored: never change one."""
DAMAGED = Unreadable("it was changed after it was encrypted, or belongs to something else")

Ciphers: TypeAlias = Mapping[RunId, Any]


class Encryption:
    """A codec that encrypts data, and errors and reasons too, by AES-256-GCM. See `Codec`.

    What is encrypted is bound to its run and workflow: it can't be read as that of another run. The
    newest key encrypts, and all keys decrypt. The name of the key is stored with what it encrypts.

    Args:
        keys: Keys as `new_key` makes them, the newest first, or a function that returns them, as
            `keys_from_env` and `keys_from_file` make one. The function is called at the first use,
            and again when an unknown key is met, at most every 10 seconds.
        run_keys: Gives each run a key of its own, which a key of `keys` encrypts. With the deletion
            of that key everything that was encrypted for the run becomes unreadable, in backups of
            the records too. It is the URL of a SQL database of its own, in which a table is made,
            or a RunKeys. None: `keys` encrypt the data.

    Raises:
        InvalidInput: An argument can't be used. It never shows a key.
    """

    name = "aes-gcm"
    hides = True

    def __init__(
        self, keys: Iterable[str] | Keys, *, run_keys: str | RunKeys | None = None
    ) -> None:
        self._keyring = Keyring(keys)
        self._given = _checked_run_keys(run_keys)
        self._ciphers: RunCiphers | None = None
        self._lock = threading.Lock()

    async def encode(self, payloads: Sequence[Payload]) -> list[bytes | None]:
        """See Codec. Raises EncryptionKeyMissing: this process has no key."""
        by_run: Ciphers = {}
        if run_ciphers := self._run_ciphers():
            run_ids = [each.run_id for each in payloads if _has_key(each)]
            by_run = await run_ciphers.made(run_ids) if run_ids else {}
        newest = self._keyring.newest()
        if sum(len(each.data) for each in payloads) > MANY:
            return await to_thread(self._encode, payloads, newest, by_run)
        return self._encode(payloads, newest, by_run)

    async def decode(self, payloads: Sequence[Payload]) -> list[bytes | Unreadable]:
        """See Codec."""
        by_run: Ciphers = {}
        run_ids = [each.run_id for each in payloads if each.data[:1] == bytes([BY_RUN_KEY])]
        if run_ids and (run_ciphers := self._run_ciphers()):
            by_run = await run_ciphers.read(run_ids)
        if sum(len(each.data) for each in payloads) > MANY:
            return await to_thread(self._decode, payloads, by_run)
        return self._decode(payloads, by_run)

    def digests(self, digest: bytes) -> Sequence[bytes]:
        """See Codec."""
        return [
            hmac.digest(derived(key.secret, "digests"), digest, "sha256")[: len(digest)]
            for key in self._keyring.all()
        ]

    async def forget(self, run_ids: Sequence[RunId]) -> None:
        """Delete the keys of runs. Other processes may have them in memory for 10 minutes.

        Does nothing without `run_keys`.
        """
        if run_ciphers := self._run_ciphers():
            await run_ciphers.delete(run_ids)

    async def kept(self, *, after: RunId | None, limit: int) -> list[RunId]:
        """See Codec: the runs that have a key.

        Args:
            after: The last run of the previous page, exclusive. None: the first page.
            limit: The most runs.
        """
        run_ciphers = self._run_ciphers()
        return [] if run_ciphers is None else await run_ciphers.runs(after=after, limit=limit)

    async def rewrap(self) -> int:
        """Encrypt the keys of all runs with the newest key of `keys`. It may be repeated.

        After that the other keys are needed only for what belongs to no run or was encrypted before
        `run_keys` was set.

        Returns:
            The number of keys that another key had encrypted. 0 without `run_keys`.

        Raises:
            EncryptionKeyMissing: A key is missing. Keys of some runs were encrypted before.
            StoreError: The database of the keys can't be used.
        """
        run_ciphers = self._run_ciphers()
        return 0 if run_ciphers is None else await run_ciphers.rewrap()

    # --- one payload ----------------------------------------------------------------------------

    def _encode(
        self, payloads: Sequence[Payload], newest: Key, by_run: Ciphers
    ) -> list[bytes | None]:
        return [self._encrypted(each, newest, by_run) for each in payloads]

    def _encrypted(self, payload: Payload, newest: Key, by_run: Ciphers) -> bytes:
        bound_to = binding(payload)
        if self._given is not None and _has_key(payload):
            return bytes([BY_RUN_KEY]) + seal(by_run[payload.run_id], payload.data, bound_to)
        name = newest.name.encode()
        sealed = seal(self._cipher(newest, payload), payload.data, bound_to)
        return bytes([BY_KEY, len(name)]) + name + sealed

    def _decode(self, payloads: Sequence[Payload], by_run: Ciphers) -> list[bytes | Unreadable]:
        return [self._decrypted(each, by_run) for each in payloads]

    def _decrypted(self, payload: Payload, by_run: Ciphers) -> bytes | Unreadable:
        data = payload.data
        if data[:1] == bytes([BY_RUN_KEY]):
            found = by_run.get(payload.run_id, _NO_RUN_KEYS)
            if isinstance(found, Unreadable):
                return found
            return _or_damaged(unseal(found, data[1:], binding(payload)))
        if data[:1] != bytes([BY_KEY]) or len(data) < 2:
            return DAMAGED
        name = data[2 : 2 + data[1]].decode(errors="replace")
        key = self._keyring.get(name)
        if key is None:
            return Unreadable(f"key {name!r} of the encryption is missing in this process")
        sealed = data[2 + data[1] :]
        return _or_damaged(unseal(self._cipher(key, payload), sealed, binding(payload)))

    def _cipher(self, key: Key, payload: Payload) -> Any:
        """Derive a key of the run, so that no key encrypts too much."""
        return self._keyring.cipher(key, "data", payload.workflow, payload.run_id)

    # --- keys of runs ---------------------------------------------------------------------------

    def _run_ciphers(self) -> RunCiphers | None:
        """Return the ciphers of runs. They connect at their first use. None: no `run_keys`."""
        if self._given is None:
            return None
        with self._lock:
            if self._ciphers is None:
                given = self._given
                store = run_keys_of(given) if isinstance(given, str) else given
                self._ciphers = RunCiphers(self._keyring, store)
            return self._ciphers

    def __repr__(self) -> str:
        return "Encryption(...)"  # a URL may hold a password


_NO_RUN_KEYS = Unreadable("it is encrypted with a key of its run, and no run_keys are set here")


def _has_key(payload: Payload) -> bool:
    """Whether the payload is encrypted with the key of its run."""
    return bool(payload.run_id) and not payload.outlives


def _or_damaged(data: bytes | None) -> bytes | Unreadable:
    return DAMAGED if data is None else data


def _checked_run_keys(given: Any) -> str | RunKeys | None:
    methods = ("add", "get", "replace", "delete", "page")
    if given is None or (isinstance(given, str) and ":" in given):
        found: str | None = given
        return found
    if isinstance(given, str) or not all(callable(getattr(given, each, None)) for each in methods):
        raise InvalidInput(
            "run_keys", "it is the URL of a SQL database, or has the methods of RunKeys"
        )
    keys: RunKeys = given
    return keys
