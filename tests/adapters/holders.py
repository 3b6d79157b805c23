"""Processes that acquire a role and then come to grief."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def holder(module: str, *arguments: str) -> Generator[subprocess.Popen[str]]:
    """Run a module that prints "holds the role", and wait for that. Kills it at the end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "holds the role\n"
            yield process
        finally:
            process.kill()
