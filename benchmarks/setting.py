"""Provides what the benchmarks share: options, a new store, and the report."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks.workload import jobs
from workflow_ray import Runtime, Workflow


def options(what: str, runs: int, variants: Mapping[str, str] | None = None) -> argparse.Namespace:
    """Parse the command line: --runtime local|ray, --runs N, --json PATH.

    Args:
        what: Describes the benchmark.
        runs: The default of --runs.
        variants: Flags of which at most one may be given, with their help. The answer's `variant`
            is the name of the one that was given, or "".
    """
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument(
        "--runtime",
        choices=["local", "ray"],
        default="local",
        help="where the roles run (default: %(default)s)",
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=runs,
        help="how many runs (default: %(default)s)",
    )
    parser.add_argument(
        "--json", type=Path, default=None, metavar="PATH", help="write the report there too"
    )
    if variants:
        exclusive = parser.add_mutually_exclusive_group()
        for variant, meaning in variants.items():
            exclusive.add_argument(
                f"--{variant}",
                action="store_const",
                const=variant,
                default="",
                dest="variant",
                help=meaning,
            )
    chosen = parser.parse_args()
    if chosen.runs < 1:
        parser.error("--runs must be at least 1")
    return chosen


SQLITE = "SQLite, WAL, synchronous=FULL"


@asynccontextmanager
async def deploy_workload(runtime: str, *workflows: Workflow[Any, Any]) -> AsyncGenerator[Runtime]:
    """Deploy workflows on a new SQLite file. On Ray, nothing of them runs afterwards.

    Args:
        runtime: "local" or "ray".
        workflows: What is deployed. Default: the workload.
    """
    deployed = workflows or (jobs,)
    with tempfile.TemporaryDirectory(prefix="workflow-ray-benchmark-") as folder:
        records = f"sqlite:///{folder}/benchmark.db"
        if runtime == "local":
            async with Runtime.local(*deployed, records=records) as local:
                yield local
            return
        async with Runtime.ray(*deployed, records=records) as on_ray:
            try:
                yield on_ray
            finally:
                await on_ray.down()


def report(measured: dict[str, object], path: Path | None, *, records: str = "sqlite://") -> None:
    """Print the figures with the command and the machine, and write them as JSON if asked to.

    Args:
        measured: The figures by name.
        path: The file for the JSON; None: none is written.
        records: URL of the store; only its scheme is shown.
    """
    scheme = records.partition("://")[0]
    whole = {
        "command": f"python {' '.join(argument.rpartition('@')[2] for argument in sys.argv)}",
        "machine": machine(),
        "store": SQLITE if scheme == "sqlite" else scheme,
        **measured,
    }
    for key, value in whole.items():
        print(f"{key:>24}  {value:,.2f}" if isinstance(value, float) else f"{key:>24}  {value}")
    if path is not None:
        path.write_text(json.dumps(whole, indent=2) + "\n")


def machine() -> str:
    """Describe what the figures depend on most."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of the values."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * percent / 100))]
