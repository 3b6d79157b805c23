"""The reference of the command line, from its commands: `make cli-page` writes docs/cli.md."""

import re
import subprocess
import sys
from pathlib import Path

from tests import json_fields
from workflow_ray.cli.exit_codes import MEANINGS

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
INTRODUCTION = """\
# Command line

`workflow-ray COMMAND --help` shows what this page shows. `make cli-page` writes the page from the
commands.

## Exit codes

| code | meaning |
|---|---|
"""


FIELDS = """
## Fields of the JSON

With `--json` a command prints strict JSON in ASCII. The fields below are stable: later versions may
add fields, and do not rename or remove these. Times are in UTC. A value that is not known is null.
"""


def text() -> str:
    """Make the page from the current commands."""
    codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in MEANINGS.items())
    return f"{INTRODUCTION}{codes}\n{_commands()}{FIELDS}{json_fields.text()}"


def _commands() -> str:
    """Run Typer's own reference, without its title: usage is not a session to be run."""
    command = [sys.executable, "-m", "typer", "workflow_ray.cli.app", "utils", "docs"]
    done = subprocess.run(
        [*command, "--name", "workflow-ray"], capture_output=True, text=True, check=True
    )
    first, _, commands = done.stdout.partition("## `workflow-ray ")
    usage = re.sub(r"```console\n\$ (.*)\n```", r"```text\n\1\n```", f"## `workflow-ray {commands}")
    codes = re.sub(r"^Exit codes:\n(?: +\d+  .*\n)+", _numbers, usage, flags=re.MULTILINE)
    return f"{_common_options(first)}{_quotes(codes).rstrip()}\n"


def _common_options(page: str) -> str:
    """List the options that come before a command."""
    options = re.findall(r"^\* `--.*\n", page, re.MULTILINE)
    return f"## Before the command\n\n{''.join(options)}\n"


def _numbers(table: re.Match[str]) -> str:
    """List a command's exit codes, which the table at the top explains."""
    return f"**Exit codes**: {', '.join(re.findall(r'^ +([0-9]+)  ', table[0], re.MULTILINE))}\n"


def _quotes(page: str) -> str:
    """Typer escapes them, which Markdown does not need."""
    return page.replace("&#x27;", "'").replace("&quot;", '"')


if __name__ == "__main__":
    PAGE.write_text(text())
