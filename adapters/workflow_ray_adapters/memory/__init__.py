"""Everything in this process's memory: for tests, and the reference for what the ports mean."""

from workflow_ray_adapters.memory.adapter import MemoryAdapter
from workflow_ray_adapters.memory.source import MemorySource
from workflow_ray_adapters.memory.store import MemoryStore

__all__ = ["MemoryAdapter", "MemorySource", "MemoryStore"]
