"""Ray clusters of several nodes."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from subprocess import STDOUT

import pytest

from tests.ray.conftest import ROOT
from workflow_ray.runtime.ray.head import make_token


@pytest.mark.server
@pytest.mark.timeout(400)
async def test_a_deployment_on_a_server_goes_on_when_the_node_of_its_first_deploy_is_gone(
    postgres_url: str, server_folder: Path, tmp_path: Path
) -> None:
    await run_apart("tests.ray.nodes", postgres_url, sockets=server_folder, folder=tmp_path)


@pytest.mark.server
@pytest.mark.timeout(400)
async def test_the_logs_of_all_nodes_are_read_and_a_node_that_is_gone_is_named(
    server_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "logs").mkdir()
    await run_apart(
        "tests.ray.log_nodes", str(tmp_path / "logs"), sockets=server_folder, folder=tmp_path
    )


async def run_apart(*module: str, sockets: Path, folder: Path) -> None:
    """Run a module with a cluster of its own, in a process of its own."""
    make_token(folder / "token")
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_TMPDIR": str(sockets),  # short: sockets are in it
        "WORKFLOW_RAY_HOME": str(folder / "home"),
    }
    command = (sys.executable, "-m", *module)
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environment, stdout=log, stderr=STDOUT, start_new_session=True
        )
        try:
            assert await process.wait() == 0, (folder / "log").read_text()[-4000:]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
