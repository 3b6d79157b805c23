"""The extra requirement of this adapter."""

from collections.abc import Generator
from contextlib import contextmanager

from workflow_ray.errors import AdapterNotInstalled


@contextmanager
def require_aiokafka() -> Generator[None]:
    """Surround imports that need aiokafka.

    Raises AdapterNotInstalled: it is missing.
    """
    try:
        yield
    except ImportError as error:
        raise AdapterNotInstalled("kafka", "kafka", str(error)) from error
