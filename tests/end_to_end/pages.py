"""Reads a page of Markdown, and does in a session what the page asks its reader to do."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TextIO
from uuid import uuid4

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TOOLS = {
    "python": "",
    # the plugin by its name: an editable installation may be older than its entry point
    "pytest": "-m pytest -p no:cacheprovider -p workflow_ray.testing.plugin",
    "workflow-ray": "-m workflow_ray.cli",
}
"""Commands of the installation under test, and the arguments of its Python for each."""
WORKERS = ("workflow-ray worker ", "workflow-ray dev ", "python worker.py")
"""The beginnings of commands that run until a signal."""
STARTING = 30.0
"""Seconds within which a worker must have started."""


@dataclass(frozen=True)
class Block:
    """A fenced block. `text` ends with a newline."""

    language: str
    text: str

    @property
    def file(self) -> str | None:
        """The name of the file that the block shows: a comment in its first line."""
        named = re.match(r"# ([\w.]+\.\w+)\n", self.text)
        return named[1] if named else None

    def commands(self) -> Iterator[tuple[str, str]]:
        """Yield each command of a console block, and the output that it shows.

        A block that begins with ^C stops the workers first.
        """
        first, *entries = re.split(r"^\$ ", self.text, flags=re.MULTILINE)
        if first:
            yield first.strip(), ""
        for entry in entries:
            command, _, shown = entry.partition("\n")
            yield command, shown


def blocks(page: Path) -> list[Block]:
    found = re.findall(r"^```(.*)\n([\s\S]*?)^```$", page.read_text(), re.MULTILINE)
    return [Block(language, text) for language, text in found]


class Session:
    """A folder with the page's files, and a shell in it.

    Commands run one after the other. A worker runs in the background until ^C or the end of the
    session. Where its output shows ^C, it is interrupted there.
    """

    def __init__(self, folder: Path, home: Path, places: Mapping[str, str]) -> None:
        """places: Replaces texts of the page by those of this session, such as a URL."""
        self.folder = folder
        self._places = places
        self._workers: list[Worker] = []
        self._deployed = False
        tools = home / "bin"
        tools.mkdir(parents=True)
        for name, arguments in TOOLS.items():
            (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
            (tools / name).chmod(0o755)
        # What a developer has set for these tests is not for those of the page.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "WORKFLOW_RAY_"))
        }
        self._environment = {
            **inherited,
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "adapters")]),
            # Python sees by the second whether a file has changed, and files change faster here.
            "PYTHONDONTWRITEBYTECODE": "1",
            "WORKFLOW_RAY_HOME": str(home),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:  # some are left after a failure
            worker.process.kill()
            worker.process.wait()
        if self._deployed:
            self._shell("workflow-ray down")

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(self._here(text))

    def run(self, command: str, shown: str) -> None:
        """Run a command, and check that its output is what the page shows."""
        if command == "^C":
            self.finish()
        elif command.startswith("export "):
            name, _, value = command.removeprefix("export ").partition("=")
            self._environment[name] = self._here(value)
        elif command.startswith(WORKERS):
            self._work(command, shown)
        else:
            self._deployed |= command.startswith("workflow-ray deploy ")
            done = self._shell(command)
            check(command, shown, done.stdout)
            assert done.returncode == 0, f"$ {command}\nexit {done.returncode}\n{done.stdout}"

    def finish(self) -> None:
        """Stop the workers, and check that each has finished its running steps."""
        while self._workers:
            worker = self._workers.pop()
            if worker.process.poll() is None:
                worker.process.send_signal(signal.SIGINT)
            assert worker.process.wait() == 0, worker.output()

    def _work(self, command: str, shown: str) -> None:
        log = self.folder.with_name(f"worker-{uuid4().hex}.log")
        with log.open("w") as output:
            worker = Worker(self._started(command, output), log)
        self._workers.append(worker)
        before, interrupted, after = shown.partition("^C\n")
        worker.wait_for("SIGTERM or Ctrl-C stops it")
        check(command, before, worker.output())
        if interrupted:
            worker.process.send_signal(signal.SIGINT)
            worker.process.wait()
            check(command, after, worker.output())

    def _shell(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", self._here(command)],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def _started(self, command: str, output: TextIO) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["bash", "-c", f"exec {self._here(command)}"],
            cwd=self.folder,
            env=self._environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def _here(self, text: str) -> str:
        for shown, actual in self._places.items():
            text = text.replace(shown, actual)
        return text


@dataclass(frozen=True)
class Worker:
    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + STARTING
        while text not in self.output():
            assert self.process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.02)


TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d{3}Z?"
RUN_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
SECONDS = r"\d+(?:\.\d+)? ?s\b"
ANYTHING = r"[\s\S]*?"
VARYING = {TIME: TIME, RUN_ID: RUN_ID, SECONDS: SECONDS, re.escape("..."): ANYTHING}
"""Patterns of text that differs each time, and of what may replace it."""


def check(command: str, shown: str, output: str) -> None:
    """Check that the output holds the lines that the page shows, whatever the width of columns."""
    assert re.search(pattern(shown), spaced(output)), f"$ {command}\n{output}"


def pattern(shown: str) -> str:
    parts = re.split("(" + "|".join(VARYING) + ")", spaced(shown))
    return "".join(
        next(
            (other for this, other in VARYING.items() if re.fullmatch(this, part)), re.escape(part)
        )
        for part in parts
    )


def spaced(text: str) -> str:
    return re.sub(" *\n", "\n", re.sub(" +", " ", text)).strip()
