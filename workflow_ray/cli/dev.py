"""`workflow-ray dev`: runs workflows here, and loads their code again when it changes."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from workflow_ray.cli.dev_process import DEADLINE, run_process
from workflow_ray.cli.exit_codes import ExitCode
from workflow_ray.cli.option_groups import grouped
from workflow_ray.cli.options import DevOptions, Workflows
from workflow_ray.cli.output import complain
from workflow_ray.definition import code_at
from workflow_ray.errors import NotImportable
from workflow_ray.runtime.stop_signals import StopSignals
from workflow_ray.runtime.stores import find_adapters
from workflow_ray.runtime.urls import Urls

POLL = 1000
"""Milliseconds after which the files are read, whether or not a change was reported."""
GRACE = 10.0
"""Seconds that a process gets to end, beyond the deadline of its steps."""
AT_ONCE = {
    "PYTHONUNBUFFERED": "1",  # what a step prints is seen at once
    # Python sees by the second whether a file has changed, and an editor may be faster
    "PYTHONDONTWRITEBYTECODE": "1",
}


SeenPath = Annotated[Path | None, typer.Option("--seen", hidden=True)]


@grouped
def dev(references: Workflows, options: DevOptions, seen: SeenPath = None) -> None:
    """Run workflows on this machine, print each transition, and reload when their code changes.

    The roles run in one process, as with Runtime.local. When a module of the workflows changes, or
    a module that these import from their own folder, the process stops in an orderly way and
    another one begins with the new code: running steps get 5 seconds to finish; those that do not
    are run again, and no attempt is counted. If the new code has a mistake, the command says so and
    waits for the next change. Runs stay in the records and go on.
    """
    if seen is not None:  # this command has started the process
        return run_process(references, options, seen)
    # a mistake here is not mended by a change of the code
    urls = Urls.of(options.records, options.events, options.timeouts).checked_for_several()
    find_adapters(urls)
    for reference in references:
        if not code_at(reference, [os.getcwd()])[0]:
            raise NotImportable(
                reference, "found no such module; start in the folder that holds it, or install it"
            )
    with TemporaryDirectory(prefix="workflow-ray-dev-") as folder:
        arguments = [*references, *_options(options), "--seen", str(Path(folder, "seen.json"))]
        code = asyncio.run(_Development(references, arguments).run())
    raise typer.Exit(code)


def _options(options: DevOptions) -> list[str]:
    given = {field.name: getattr(options, field.name) for field in fields(options)}
    return [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in given.items()
        if value not in (None, False)
    ]


class _Development:
    """Starts a process for the code as it is, and another one after each change."""

    def __init__(self, references: Sequence[str], arguments: Sequence[str]) -> None:
        self._references = references
        self._command = [sys.executable, "-m", "workflow_ray.cli", "dev", *arguments]

    async def run(self) -> int:
        """Run until a signal. Returns the exit code."""
        with StopSignals() as signals:
            while True:
                code, folders = self._code()
                # Its own process group: Ctrl-C reaches this process only, which passes it on.
                process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=PIPE, env={**os.environ, **AT_ONCE}, process_group=0
                )
                changed = asyncio.create_task(self._change(code, folders))
                stopped = asyncio.create_task(signals.first.wait())
                try:
                    ended = await _first(process, changed, stopped)
                finally:
                    stopped.cancel()
                    await _stop(process, signals.second)
                    changed.cancel()
                if signals.first.is_set():
                    return ExitCode.DONE
                if changed.done():
                    changed.result()  # raises an error of the file system
                if ended == ExitCode.UNREACHABLE:
                    return ended

    def _code(self) -> tuple[Mapping[str, str], set[Path]]:
        """Read the code of all workflows: digests by module, and the folders to watch."""
        code, folders = dict[str, str](), set[Path]()
        for reference in self._references:
            some, places = code_at(reference, [os.getcwd()])
            code |= some
            folders |= places
        return code, {folder for folder in folders if folder.is_dir()} or {Path.cwd()}

    async def _change(self, code: Mapping[str, str], folders: set[Path]) -> None:
        """Wait until the code is another one, and say what has changed."""
        # imported here, because the other commands do without it
        from watchfiles import PythonFilter
        from watchfiles import awatch as watch_files  # pyright: ignore[reportUnknownVariableType]  # its event is a union of two packages

        watching = watch_files(
            *folders,
            watch_filter=PythonFilter(),
            recursive=False,
            rust_timeout=POLL,
            yield_on_timeout=True,
        )
        async for _ in watching:
            new, _ = self._code()
            if new != code:
                names = sorted(name for name, _ in new.items() ^ code.items())
                complain(f"{', '.join(dict.fromkeys(names))} changed: loading the code again.")
                return


async def _first(
    process: Process, changed: "asyncio.Task[None]", stopped: "asyncio.Task[bool]"
) -> int | None:
    """Wait for a change or a signal. Returns early if only a change of the machine would help.

    Returns:
        The exit code of the process, if it has ended by itself.
    """
    ended = asyncio.create_task(process.wait())
    await asyncio.wait({changed, stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        ended.cancel()
        return None
    if ended.result() != ExitCode.UNREACHABLE and not (changed.done() or stopped.done()):
        why = "" if ended.result() == ExitCode.UNUSABLE else f" (exit code {ended.result()})"
        complain(f"The process has ended{why}. Waiting for a change of the code.")
        await asyncio.wait({changed, stopped}, return_when=asyncio.FIRST_COMPLETED)
    return ended.result()


async def _stop(process: Process, hurried: asyncio.Event) -> None:
    """End the process in an orderly way, or kill it if it does not end."""
    ended = asyncio.create_task(process.wait())
    hurry = asyncio.create_task(hurried.wait())
    _signal(process, signal.SIGTERM)
    await asyncio.wait({ended, hurry}, timeout=DEADLINE + GRACE, return_when="FIRST_COMPLETED")
    if not ended.done():
        _signal(process, signal.SIGTERM)  # the second one does not wait for steps
        await asyncio.wait({ended}, timeout=GRACE)
    if not ended.done():
        complain("The process does not end, and is killed.")
        _signal(process, signal.SIGKILL)
    await ended
    hurry.cancel()


def _signal(process: Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(number)
