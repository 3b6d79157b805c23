"""Sources of connectors that need no adapter of their own."""

from workflow_ray.sources.iterated import IteratedSource, source

__all__ = ["IteratedSource", "source"]
