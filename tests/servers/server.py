"""What all servers have in common: a folder, ports, a process, a start and an end."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from typing import IO, ClassVar, Self

import msgspec

from tests.servers import processes
from tests.servers.ports import free_ports

READY_WITHIN, STOPPED_WITHIN = 60.0, 30.0
"""Seconds for a start, and for a stop."""
TAIL = 3000
"""Characters of the log that an error shows."""


class NotStarted(Exception):
    """A server did not start. The message shows the end of its log."""


class State(msgspec.Struct):
    """What one process tells the next about a server."""

    ports: list[int]
    made: bool = False  # the data exists
    pid: int = 0
    started_at: str | None = None


class Server(ABC):
    """A server in the folder root/NAME. It ends with this process, and its folder is removed then.

    Args:
        settings: Its own settings, by their names there. They override ours.
        lasting: It stays, with its folder, when this process ends. A process with the same root
            finds it.
    """

    name: ClassVar[str]
    user: ClassVar[str | None] = None  # the user that it runs as if root starts it
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    port_count: ClassVar[int] = 1

    def __init__(
        self, root: Path, settings: Mapping[str, str] | None = None, *, lasting: bool = False
    ) -> None:
        self.folder = root.resolve() / self.name
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.settings = dict(settings or {})
        self._lasting = lasting
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        state = self.folder / "state.json"
        self._state = (
            msgspec.json.decode(state.read_bytes(), type=State)
            if state.exists()
            else State(free_ports(self.port_count))
        )

    # --- what each server says ------------------------------------------------------------------

    @property
    @abstractmethod
    def url(self) -> str:
        """The URL for workflow_ray."""

    @classmethod
    @abstractmethod
    def install(cls) -> None:
        """Install what it needs on this machine. Idempotent.

        Raises NotInstalled.
        """

    @abstractmethod
    def _make(self) -> None:
        """Create the data."""

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def _ready(self) -> bool:
        """Whether it answers. May raise OSError instead."""

    # --- its life -------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """Return a port, which stays the same over all restarts."""
        return self._state.ports[0]

    @property
    def running(self) -> bool:
        return (
            self._state.pid != 0 and processes.started_at(self._state.pid) == self._state.started_at
        )

    def start(self) -> None:
        """Start it, on its data if there is any, and return once it answers.

        Does nothing if it runs already.

        Raises NotInstalled; NotStarted.
        """
        if self.running:
            return
        self.install()
        self._make_folder()
        if not self._state.made:
            shutil.rmtree(self.data, ignore_errors=True)
            self._make()
            self._state.made = True
        with self.log.open("ab") as log:
            self._process = process = self._popen(self._command(), stdout=log)
        if not self._lasting:
            self._guard = processes.guard(process.pid, self.folder)
        self._state.pid, self._state.started_at = process.pid, processes.started_at(process.pid)
        self._save()
        self._wait_until_ready(process)

    def stop(self) -> None:
        """Ask it to end, and wait until it has ended. Does nothing if it does not run.

        The data stays.
        """
        if self.running:
            processes.send(self.stop_signal, [self._state.pid])
            if not processes.gone([self._state.pid], STOPPED_WITHIN):
                self.kill()
        self._left()

    def kill(self) -> None:
        """Crash it: send SIGKILL to it and all its processes. The data stays."""
        if self.running:
            every = processes.family(self._state.pid)
            processes.send(signal.SIGKILL, every)
            processes.gone(every, STOPPED_WITHIN)
        self._left()

    def freeze(self) -> None:
        """Stop it by SIGSTOP.

        It keeps its connections, and does not answer until `thaw`, `kill` or `stop`.
        """
        processes.freeze(processes.family(self._state.pid))

    def thaw(self) -> None:
        """Continue it by SIGCONT."""
        processes.send(signal.SIGCONT, processes.family(self._state.pid))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thaw()  # a frozen process can't stop
        self.stop()

    # --- how ------------------------------------------------------------------------------------

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if (account := self._account()) is None:
            return
        os.chown(self.folder, account.pw_uid, account.pw_gid)
        for above in self.folder.parents:
            if not above.stat().st_mode & 0o001:
                raise NotStarted(
                    f"user {self.user} can't enter {above}: give {self.name} another folder (the"
                    " fixture server_folder)."
                )

    def _account(self) -> pwd.struct_passwd | None:
        return pwd.getpwnam(self.user) if self.user and os.geteuid() == 0 else None

    def _popen(self, command: list[str], stdout: int | IO[bytes]) -> subprocess.Popen[bytes]:
        account = self._account()
        uid, gid, groups = (
            (None, None, None) if account is None else (account.pw_uid, account.pw_gid, list[int]())
        )
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=DEVNULL,
            stdout=stdout,
            stderr=STDOUT,
            start_new_session=True,  # Ctrl-C ends the tests only
            user=uid,
            group=gid,
            extra_groups=groups,
        )

    def _run(self, *command: str) -> None:
        """Run one of the server's tools to its end.

        Raises NotStarted.
        """
        with self._popen(list(command), stdout=PIPE) as process:
            said, _ = process.communicate()
        if process.returncode:
            raise NotStarted(
                f"{command[0]} exited with"
                f" {process.returncode}:\n{said.decode(errors='replace')[-TAIL:]}"
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                why = (
                    f"it exited with {process.returncode}, or didn't answer within"
                    f" {READY_WITHIN:g} s"
                )
                raise NotStarted(
                    f"{self.name} didn't start: {why}. The end of its"
                    f" log:\n{self.log.read_text(errors='replace')[-TAIL:]}"
                )
            time.sleep(processes.POLL)  # a server sends no signal when it is ready

    def _answers(self) -> bool:
        try:
            return self._ready()
        except OSError:
            return False

    def _left(self) -> None:
        if self._guard is not None:
            self._guard.kill()  # before the id can belong to another process
            self._guard.communicate()
        if self._process is not None:
            self._process.wait()
        self._guard = self._process = None
        self._state.pid, self._state.started_at = 0, None
        if self.folder.exists():
            self._save()

    def _save(self) -> None:
        new = self.folder / "state.json.new"
        new.write_bytes(msgspec.json.encode(self._state))
        new.replace(self.folder / "state.json")
