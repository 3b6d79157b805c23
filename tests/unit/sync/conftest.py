"""A runtime in a thread of its own, for clients that block."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.sync.letters import letters
from workflow_ray import Runtime
from workflow_ray.runtime.engine_thread import EngineThread


@pytest.fixture
def records(tmp_path: Path) -> str:
    """A store where `letters` is deployed. No process runs it."""
    url = f"sqlite:///{tmp_path}/runs.db"

    async def deploy() -> None:
        async with Runtime.local(letters, records=url):
            pass

    asyncio.run(deploy())
    return url


@pytest.fixture
def running(tmp_path: Path) -> Iterator[str]:
    """A store where `letters` is deployed, and runs meanwhile."""
    url = f"sqlite:///{tmp_path}/runs.db"
    runtime, thread = Runtime.local(letters, records=url), EngineThread("steps")
    thread.start()
    thread.submit(runtime.__aenter__()).result()
    try:
        yield url
    finally:
        thread.submit(runtime.__aexit__(None, None, None)).result()
        thread.end()
