"""A process whose runs are large needs a bounded amount of memory."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNS, SIZE = 300, 2_000_000
LIMIT = 400 * 1024
"""Kilobytes."""

PROGRAM = f"""
import asyncio, sys
from typing import Literal
from pydantic import BaseModel
from workflow_ray import Run, Runtime, Status, Trigger, Workflow

class Film(BaseModel):
    pixels: str
    seen: bool = False

class FilmStatus(Status):
    NEW = 1
    SEEN = 2
    SHOWN = 3

films = Workflow("films", Film, FilmStatus)

@films.step(FilmStatus.NEW)
async def see(run: Run[Film, FilmStatus]) -> Literal[FilmStatus.SEEN]:
    run.data.seen = True
    return FilmStatus.SEEN

@films.step(FilmStatus.SEEN)
async def show(run: Run[Film, FilmStatus]) -> Literal[FilmStatus.SHOWN]:
    return FilmStatus.SHOWN

async def main() -> None:
    async with Runtime.local(films, records=sys.argv[1]) as runtime:
        client = runtime.client(films)
        film = Film(pixels="x" * {SIZE})
        handles = [await client.trigger(f"film-{{n}}", film) for n in range({RUNS})]
        for handle in handles:
            await handle.wait()
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(peak.split()[1])

asyncio.run(main())
"""


@pytest.mark.timeout(240)
async def test_many_large_runs_are_held_a_few_at_a_time(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, f"sqlite:///{tmp_path}/films.db"]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < LIMIT, f"{int(done.stdout) // 1024} MiB"
