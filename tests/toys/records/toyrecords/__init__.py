"""`toyrecords:///FILE`: runs, roles and timeouts in one file, which each call reads, changes and
writes again. Simple, and slow.
"""

from toyrecords.adapter import ToyRecordsAdapter

__all__ = ["ToyRecordsAdapter"]
