"""Roles that were acquired, and the workers that share them."""

from datetime import datetime

import msgspec

from workflow_ray.records import Role


class Holding(msgspec.Struct):
    """A role that was acquired."""

    role: Role
    epoch: int  # the newest
    worker: str = ""
    until: datetime | None = None  # when the worker's lease ends

    def holder(self, now: datetime) -> str | None:
        """Return the worker whose lease has not ended."""
        return self.worker if self.until and self.until > now else None


class Worker(msgspec.Struct):
    able: list[Role]
    until: datetime
