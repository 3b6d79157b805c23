"""The process of a worker, as the modules of workflows run it."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Any

from workflow_ray import Workflow
from workflow_ray.runtime.local import LocalRuntime
from workflow_ray.runtime.urls import Urls


async def serve(workflows: Sequence[Workflow[Any, Any]], lease: str, *urls: str | None) -> None:
    """Run the workflows until SIGTERM, and say on standard output when the roles may run.

    Args:
        workflows: The workflows.
        lease: Of a role, in seconds.
        urls: Those of the records, the events and the timeouts.
    """
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    async with LocalRuntime(workflows, Urls.of(*urls), lease=float(lease)):
        print("ready", flush=True)
        await stopped.wait()
