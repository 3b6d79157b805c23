"""A store in the memory of this process: for tests, and as the reference for the ports."""

from workflow_ray_adapters.memory.adapter import MemoryAdapter
from workflow_ray_adapters.memory.source import MemorySource
from workflow_ray_adapters.memory.store import MemoryStore

__all__ = ["MemoryAdapter", "MemorySource", "MemoryStore"]
