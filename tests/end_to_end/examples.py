"""Runs the examples as a user does, each in a new process."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run_example(name: str, folder: Path, *arguments: str) -> str:
    """Run an example to its end. Returns what it prints.

    Args:
        name: Its name.
        folder: Gets its files.
        arguments: Those of its command line.
    """
    return _run(folder, f"examples.{name}", *arguments)


def crash(name: str, folder: Path, *, kills: int) -> str:
    """Run an example that is killed in the middle, so many times. Returns what is printed."""
    printed = _run(folder, "examples.crash", name, "--kills", str(kills))
    assert printed.count("--- killed") == kills
    return printed


def _run(folder: Path, module: str, *arguments: str) -> str:
    environment = {**os.environ, "WORKFLOW_RAY_EXAMPLES": str(folder)}
    for name in ("RECORDS", "EVENTS", "TIMEOUTS"):
        environment.pop(f"WORKFLOW_RAY_{name}", None)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
