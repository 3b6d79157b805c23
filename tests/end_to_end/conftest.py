"""Runs the command line as a user does: as a process with output and an exit code."""

import fcntl
import os
import pty
import shlex
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from tests.servers import Kafka

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class CommandLine:
    """Runs `workflow-ray` in the root of the repository, on the test's own records."""

    records: str
    environment: Mapping[str, str]

    def __call__(
        self, *arguments: str, given: str = "", expect: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, and check its exit code."""
        done = subprocess.run(
            self._command(arguments),
            input=given,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *arguments: str) -> Any:
        """Run a command with --json, and decode what it prints."""
        return msgspec.json.decode(self(*arguments, "--json").stdout)

    def roles(self) -> list[Any]:
        """Return the roles and other actors that `status` shows; none where no records exist."""
        done = subprocess.run(
            self._command(("status", "--json")),
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 5), done.stderr
        roles: list[Any] = msgspec.json.decode(done.stdout)["roles"] if done.stdout else []
        return [role for role in roles if role["phase"] != "stopped"]

    def shell(self, redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command in bash, with its streams redirected."""
        command = shlex.join(self._command(arguments))
        return subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command} {redirection}"],
            cwd=ROOT,
            env=self.environment,
            stdin=DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def on_terminal(self, columns: int, *arguments: str, given: str = "") -> str:
        """Run a command on a terminal. Returns all that it prints, with escape sequences."""
        with self.start_on_terminal(columns, *arguments) as (_, terminal):
            os.write(terminal, given.encode())
            return read_terminal(terminal)

    @contextmanager
    def start_on_terminal(
        self, columns: int, *arguments: str
    ) -> Generator[tuple[subprocess.Popen[bytes], int]]:
        """Start a command on a terminal. Yields the process and the terminal; waits for its end."""
        terminal, end = pty.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {**self.environment, "TERM": "xterm-256color"}
        environment.pop("COLUMNS", None)
        with subprocess.Popen(
            self._command(arguments),
            cwd=ROOT,
            env=environment,
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
        ) as process:
            os.close(end)
            yield process, terminal
        os.close(terminal)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command with pipes as its streams."""
        return subprocess.Popen(
            self._command(arguments),
            cwd=ROOT,
            env=self.environment,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            text=True,
        )

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "workflow_ray.cli", *arguments]


def read_terminal(terminal: int, until: str | None = None) -> str:
    """Read what a terminal gets, to the end or up to a text."""
    printed = b""
    with suppress(OSError):  # Linux: the other end is closed
        while (until is None or until.encode() not in printed) and (
            piece := os.read(terminal, 65536)
        ):
            printed += piece
    return printed.decode().replace("\r\n", "\n")


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Press Ctrl-C. Returns the exit code, and what the process wrote on stderr."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    return process.returncode, said


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    records = f"sqlite:///{tmp_path}/records.db"
    home = {"WORKFLOW_RAY_RECORDS": records, "WORKFLOW_RAY_HOME": str(tmp_path / "home")}
    return CommandLine(records, {**os.environ, **home})


@pytest.fixture
def urls(postgres_url: str, kafka: Kafka, redis_url: str) -> list[str]:
    """Of the records, the events and the timeouts: one kind of server each."""
    return [postgres_url, f"{kafka.url}/{uuid4().hex}", redis_url]
