"""`toyrecords:///FILE`: runs, roles and timeouts in one file.

Each call reads, changes and writes the whole file: simple, and slow.
"""

from toyrecords.adapter import ToyRecordsAdapter

__all__ = ["ToyRecordsAdapter"]
