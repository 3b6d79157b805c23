"""A workflow in several versions of its code, each in a folder, and the process of a worker of one.

`python -m tests.end_to_end.freights FOLDER LEASE URL...` runs the version in the folder.
"""

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

from tests.end_to_end.serving import serve
from workflow_ray import Workflow
from workflow_ray.definition import load

MODULE = "freight_in_versions"
REFERENCE = f"{MODULE}:freight"
SOURCE = """
import asyncio
from typing import Any, Literal
from pydantic import BaseModel
from workflow_ray import Run, Status, Workflow

class At(Status):
    NEW = 1
    PACKED = 2
    SENT = 3
    {held}

class Load(BaseModel):
    {field}: int = 0
    seen: list[str] = []

freight = Workflow("freight", Load, At, entry=tuple(At), {options})

@freight.step(At.NEW)
async def pack(run: Run[Load, At]) -> Literal[At.PACKED]:
    await asyncio.sleep(0.02)
    run.data.seen.append("pack by {version}")
    return At.PACKED

@freight.step(At.PACKED)
async def send(run: Run[Load, At]) -> Literal[At.SENT]:
    await asyncio.sleep(0.02)
    run.data.seen.append("send by {version}")
    return At.SENT
"""
CALLBACK = """
@freight.callback(At.HELD)
async def let_go(run: Run[Load, At], message: int) -> Literal[At.PACKED]:
    return At.PACKED
"""
MIGRATION = """
@freight.migrate(1)
def to_grams(data: dict[str, Any]) -> dict[str, Any]:
    data["grams"] = data.pop("weight") * 1000
    return data
"""


def old_version(folder: Path) -> Path:
    """Write version 1: it has the status HELD, and counts in kilograms."""
    text = SOURCE.format(held="HELD = 4", field="weight", options="", version=1)
    return _written(folder / "v1", text + CALLBACK)


def new_version(folder: Path) -> Path:
    """Write version 2: it counts in grams."""
    options = "data_version=2"
    text = SOURCE.format(held="HELD = 4", field="grams", options=options, version=2)
    return _written(folder / "v2", text + CALLBACK + MIGRATION)


def without_held(folder: Path, *, moved: bool) -> Path:
    """Write a version 2 without the status HELD, which moves its runs, or does not."""
    options = "data_version=2" + (', moved={"HELD": At.NEW}' if moved else "")
    text = SOURCE.format(held="", field="grams", options=options, version=2)
    return _written(folder / ("moved" if moved else "gone"), text + MIGRATION)


def _written(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / f"{MODULE}.py").write_text(text)
    return folder


def loaded(folder: Path) -> Workflow[Any, Any]:
    """Import a version, as a process that has no other one."""
    for name in [name for name in sys.modules if name == MODULE]:
        sys.path[:] = [entry for entry in sys.path if not Path(entry, f"{MODULE}.py").exists()]
        del sys.modules[name]
    importlib.invalidate_caches()
    return load(REFERENCE, [str(folder)])


if __name__ == "__main__":
    where, lease, *urls = sys.argv[1:]
    asyncio.run(serve([loaded(Path(where))], lease, *urls))
