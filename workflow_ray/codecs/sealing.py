"""AES-GCM: what a key makes of bytes that are bound to what they belong to."""

import hmac
import secrets
from typing import Any

from workflow_ray.ports import Payload

NONCE = 12
"""Bytes of a nonce. It is random: a derived key encrypts the payloads of one run only, so that the
chance of two equal ones stays far below 2**-32.
"""
LABEL = b"workflow_ray 1\0"
"""What keys are derived for. Another use of a key of the user would derive other ones."""


def cipher(key: bytes) -> Any:
    """Make an AESGCM. Raises InvalidInput: `cryptography` is not installed."""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        from workflow_ray.errors import InvalidInput

        raise InvalidInput(
            "Encryption", "it needs a library: pip install 'workflow-ray[encryption]'"
        ) from None
    return AESGCM(key)


def derived(key: bytes, *parts: str) -> bytes:
    """Derive a key for one purpose: HKDF-Expand with SHA-256, of one block."""
    info = LABEL + b"\0".join(part.encode() for part in parts)
    return hmac.digest(key, info + b"\x01", "sha256")


def binding(payload: Payload) -> bytes:
    """Return what the bytes are bound to: they can be decrypted there only."""
    parts = (payload.workflow, payload.run_id, payload.kind)
    return b"".join(len(part).to_bytes(2, "big") + part for part in map(str.encode, parts))


def seal(aead: Any, data: bytes, bound_to: bytes) -> bytes:
    """Encrypt bytes. Two calls give different results."""
    nonce = secrets.token_bytes(NONCE)
    encrypted: bytes = aead.encrypt(nonce, data, bound_to)
    return nonce + encrypted


def unseal(aead: Any, data: bytes, bound_to: bytes) -> bytes | None:
    """Decrypt bytes. None: they were changed, moved from elsewhere, or cut."""
    from cryptography.exceptions import InvalidTag

    if len(data) < NONCE + 16:
        return None
    try:
        decrypted: bytes = aead.decrypt(data[:NONCE], data[NONCE:], bound_to)
    except InvalidTag:
        return None
    return decrypted
