"""What the programs of the examples share: their options, and the runtime."""

import argparse
import os
from typing import Any

from examples.outside import FOLDER
from workflow_ray import Runtime, Workflow


class Options(argparse.Namespace):
    """The options of every example."""

    records: str
    runtime: str


def parser_of(name: str, what: str) -> argparse.ArgumentParser:
    """Return the parser of an example's command line. Each may add options.

    Args:
        name: The name of the example, and of its SQLite file.
        what: Describes the example.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    parser = argparse.ArgumentParser(prog=f"python -m examples.{name}", description=what)
    parser.add_argument(
        "--records",
        default=os.environ.get("WORKFLOW_RAY_RECORDS", f"sqlite:///{FOLDER}/{name}.db"),
        help="URL of the records (default: WORKFLOW_RAY_RECORDS, else %(default)s)",
    )
    parser.add_argument(
        "--runtime",
        choices=["local", "ray"],
        default="local",
        help="where the roles run (default: %(default)s)",
    )
    return parser


def runtime_of(options: Options, *workflows: Workflow[Any, Any]) -> Runtime:
    """Return the runtime that the options ask for."""
    if options.runtime == "ray":
        return Runtime.ray(*workflows, records=options.records)
    return Runtime.local(*workflows, records=options.records)
