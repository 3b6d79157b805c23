"""Bounds on what is stored and sent. They also bound frames and transactions."""

MAX_DATA = 16 * 1024 * 1024
"""The largest number of bytes of one run's data, as JSON."""
MAX_FOREIGN_ID = 255
"""The largest number of characters of a foreign id or an idempotency key."""
DIGEST_SIZE = 16
"""The number of bytes of the digest that is stored with an idempotency key."""
BATCH_DATA = 8 * 1024 * 1024
"""Bytes of data after which a batch takes no further run: the run that exceeds it is the last."""
MAX_LABELS = 32
"""The labels of one run."""
MAX_LABEL_NAME = 63
"""The characters of a label's name. Its value may have MAX_FOREIGN_ID."""
MAX_PRIORITY = 2**31 - 1
"""The largest priority of a run under flow control, and its negative the smallest."""
