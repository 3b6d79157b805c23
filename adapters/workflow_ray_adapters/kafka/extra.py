"""What the adapter needs beyond the package itself."""

from collections.abc import Generator
from contextlib import contextmanager

from workflow_ray.errors import AdapterNotInstalled


@contextmanager
def needed() -> Generator[None]:
    """Around imports that bring aiokafka in. Raises AdapterNotInstalled where it isn't there."""
    try:
        yield
    except ImportError as error:
        raise AdapterNotInstalled("kafka", "kafka", str(error)) from error
