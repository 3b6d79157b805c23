"""Where roles run: in this process, or on Ray; and how clients find them."""

from workflow_ray.runtime.connect import connect
from workflow_ray.runtime.runtime import Runtime
from workflow_ray.runtime.transitions import TransitionSource

__all__ = ["Runtime", "TransitionSource", "connect"]
