"""What is kept for a run beside its record, as one number: 0 for most runs, so that one look tells
that there is nothing.
"""

HAS_RESULTS = 1
"""Results of `once` are stored for its visit."""
HAS_PARENTS = 2
"""Another run has started or joined it."""
CASCADES = 4
"""It has children that are cancelled with it."""
MESSAGE = 8
"""One message that waits: the number of them stands above the flags."""


def count_messages(marks: int) -> int:
    return marks // MESSAGE


def with_messages(marks: int, count: int) -> int:
    """Return the marks with this number of messages that wait."""
    return marks % MESSAGE + count * MESSAGE
