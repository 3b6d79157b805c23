"""Modules of definitions, which tests write."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

DEFINITION = """
from pydantic import BaseModel
from workflow_ray import Status, Workflow

class At(Status):
    START = 1

class Data(BaseModel):
    pass

orders = Workflow("orders", Data, At)
"""


def forget(name: str) -> None:
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


def write(folder: Path, files: Mapping[str, str]) -> None:
    for path, source in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(source)


def printed(folder: Path, *arguments: str | Path) -> str:
    """Run code in another process with the same import path, and return its output."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()
