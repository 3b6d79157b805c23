"""Keys of runs in memory, for tests."""

from collections.abc import Mapping, Sequence

from workflow_ray.errors import StoreUnavailable
from workflow_ray.records import RunId


class KeysInMemory:
    """A RunKeys."""

    def __init__(self) -> None:
        self.keys: dict[RunId, bytes] = {}
        self.calls: list[str] = []
        self.failures = 0  # the next deletions that fail

    async def add(self, keys: Mapping[RunId, bytes]) -> dict[RunId, bytes]:
        self.calls.append("add")
        for run_id, key in keys.items():
            self.keys.setdefault(run_id, key)
        return {run_id: self.keys[run_id] for run_id in keys}

    async def get(self, run_ids: Sequence[RunId]) -> dict[RunId, bytes]:
        self.calls.append("get")
        return {run_id: self.keys[run_id] for run_id in run_ids if run_id in self.keys}

    async def replace(self, keys: Mapping[RunId, tuple[bytes, bytes]]) -> None:
        for run_id, (old, new) in keys.items():
            if self.keys.get(run_id) == old:
                self.keys[run_id] = new

    async def delete(self, run_ids: Sequence[RunId]) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("keys", "a test says so")
        for run_id in run_ids:
            self.keys.pop(run_id, None)

    async def page(self, *, after: RunId | None, limit: int) -> dict[RunId, bytes]:
        found = sorted(run_id for run_id in self.keys if run_id > (after or ""))
        return {run_id: self.keys[run_id] for run_id in found[:limit]}
