"""Bounds on what is stored and sent. They also bound frames and transactions."""

MAX_DATA = 16 * 1024 * 1024
"""The largest number of bytes of one run's data, as JSON."""
MAX_FOREIGN_ID = 255
"""The largest number of characters of a foreign id or an idempotency key."""
DIGEST_SIZE = 16
"""The number of bytes of the digest that is stored with an idempotency key."""
BATCH_DATA = 8 * 1024 * 1024
"""Bytes of data after which a batch takes no further run: the run that exceeds it is the last."""
