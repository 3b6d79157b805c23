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
    make_token(tmp_path / "token")
    environment = os.environ | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"),
        "RAY_TMPDIR": str(server_folder),  # short: sockets are in it
    }
    command = (sys.executable, "-m", "tests.ray.nodes", postgres_url)
    with (tmp_path / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environment, stdout=log, stderr=STDOUT, start_new_session=True
        )
        try:
            assert await process.wait() == 0, (tmp_path / "log").read_text()[-4000:]
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
