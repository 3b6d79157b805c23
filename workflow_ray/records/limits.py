"""Bounds on what is stored and sent, so that frames and transactions stay bounded too."""

MAX_DATA = 16 * 1024 * 1024
"""Bytes of one run's data, as JSON."""
MAX_FOREIGN_ID = 255
"""Characters of a foreign id, and of an idempotency key."""
DIGEST_SIZE = 16
"""Bytes of the digest that is stored with an idempotency key."""
BATCH_DATA = 8 * 1024 * 1024
"""Bytes of data after which a batch takes no further run: the batch that crosses it is the last."""
