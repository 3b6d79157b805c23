"""Checks that a write can be stored by every store, before anything is written."""

import re

from workflow_ray.errors import WriteRejected
from workflow_ray.records.ids import NO_VERSION
from workflow_ray.records.limits import DIGEST_SIZE, MAX_DATA, MAX_FOREIGN_ID
from workflow_ray.records.write import Write

UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def check_write(write: Write) -> None:
    """Check that every store can store the write. Raises WriteRejected."""
    data, new = write.data, write.new
    if write.expected == NO_VERSION and (new is None or data is None):
        raise WriteRejected(f"run {write.run_id} is new and has no foreign id or no data")
    if data is not None and len(data) > MAX_DATA:
        raise WriteRejected(
            f"run {write.run_id} has {len(data)} bytes of data; {MAX_DATA} are allowed"
        )
    if new is not None:
        for name, key in (("foreign id", new.foreign_id), ("idempotency key", new.idempotency_key)):
            if key is not None and (why := flaw_of_key(key)):
                raise WriteRejected(f"run {write.run_id} has a {name} that can't be used: {why}")
        if new.digest is not None and len(new.digest) != DIGEST_SIZE:
            raise WriteRejected(
                f"run {write.run_id} has a digest of {len(new.digest)} bytes, not of {DIGEST_SIZE}"
            )


def flaw_of_key(key: str) -> str | None:
    """Say why not every database can store a foreign id or idempotency key. None: each can."""
    if len(key) > MAX_FOREIGN_ID:
        return f"it has {len(key)} characters; {MAX_FOREIGN_ID} are allowed"
    if UNSTORABLE.search(key):
        return "it holds a NUL or half a surrogate pair, which not every database can store"
    return None
