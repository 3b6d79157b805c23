"""A Ray head of our own on this machine, for users who have no cluster. It is started once, and
other processes find it.
"""

import fcntl
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from workflow_ray.errors import RuntimeUnavailable

HOME = "WORKFLOW_RAY_HOME"
START = 60.0
"""Seconds for a head to come up."""
STOP = 5.0
"""Seconds for its processes to be gone after they were killed."""
OBJECT_STORE = 128 * 1024 * 1024
"""Bytes for Ray's shared objects. They hold only large calls between nodes that are under way."""
CONNECT = 1.0
"""Seconds that one connection to the head may take."""
POLL = 0.02


@dataclass(frozen=True)
class Head:
    """The head that keeps its state in the folder `home`.

    While the head runs, it holds an OS lock on `head.lock`, which contains its process id. So an id
    that another process got later is never mistaken for the head's.
    """

    home: Path

    @property
    def files(self) -> Path:
        """The folder for Ray's own files.

        Its path is short, because the paths of Unix sockets in it may have about a hundred bytes.
        """
        return Path("/tmp") / f"wr-{hashlib.sha256(bytes(self.home)).hexdigest()[:12]}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that a process needs to connect to this head."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.home / "token")}

    @property
    def _lock(self) -> Path:
        return self.home / "head.lock"

    def is_running(self) -> bool:
        """Whether the head's process runs. It may not accept connections yet."""
        with suppress(FileNotFoundError), self._lock.open() as lock:
            return not _acquired(lock.fileno(), fcntl.LOCK_SH)
        return False

    def start(self) -> str:
        """Start the head if it does not run, and return its address.

        If several processes call this at the same time, one of them starts it.

        Raises:
            RuntimeUnavailable: It did not come up.
        """
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self.home / "start.lock"):
            if not self.is_running():
                self._launch()
            return self.address()

    def address(self) -> str:
        """Return the address for drivers, once the head accepts connections.

        Raises RuntimeUnavailable: it did not start.
        """
        _until(lambda: self._reachable() is not None or not self.is_running(), START)
        if address := self._reachable():
            return address
        log = self.home / "head.log"
        state = (
            f"did not start within {START:g} s" if self.is_running() else "ended while it started"
        )
        raise RuntimeUnavailable("Ray's head", f"{state}: {_last_line(log)} ({log} says more)")

    def _reachable(self) -> str | None:
        """Return the address that the head has written, if the head accepts connections there.

        Ray creates the file before it writes it, so a reader may see it empty or in part.
        """
        try:
            address = (self.files / "ray" / "ray_current_cluster").read_text().strip()
        except FileNotFoundError:
            return None
        return address if _accepts(address) else None

    def stop(self) -> bool:
        """Kill the head's processes, and wait until all are gone. Roles are not drained.

        Returns:
            False: No head was running.

        Raises:
            RuntimeUnavailable: Some of its processes do not end.
        """
        if not self.home.is_dir():
            return False
        with _locked(self.home / "start.lock"):
            running = self.is_running()
            self._clear()
            return running

    def _clear(self) -> None:
        """End the processes of a head. After it was killed, some of Ray's servers may still run."""
        session = self._session()
        if session is not None and not _until(lambda: not _killed(session), STOP):
            raise RuntimeUnavailable(
                "Ray's head", f"its processes do not end; look at them with `ps -s {session}`"
            )
        shutil.rmtree(self.files, ignore_errors=True)

    def _session(self) -> int | None:
        """Return the id of the head's session. None: it has no process of the head, so that the id
        may belong to another session.
        """
        try:
            session = int(self._lock.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return (
            session
            if any(bytes(self.files) in command for _, command in _members(session))
            else None
        )

    def _launch(self) -> None:
        self._clear()
        self.files.mkdir(mode=0o700)  # every user can read Ray's own folder in it
        make_token(self.home / "token")
        with self._lock.open("a") as lock, (self.home / "head.log").open("wb") as log:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = subprocess.Popen(
                # The shell writes its process id, which is the head's after `exec`. So the head can
                # be found at any moment at which it runs.
                ["/bin/sh", "-c", 'echo $$ >"$0"; exec "$@"', lock.name, *_command(self.files)],
                env=_inherited() | self.environment,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=(lock.fileno(),),  # the lock lives as long as the head
            )
        # Waits for the head, so that it is not left as a zombie if it ends before this process.
        threading.Thread(target=process.wait, daemon=True).start()


def local_head() -> Head:
    """Return the head of this user. Its home is WORKFLOW_RAY_HOME, or ~/.workflow_ray."""
    return Head(Path(os.environ.get(HOME) or Path.home() / ".workflow_ray").resolve())


def make_token(token: Path) -> None:
    """Make the token if it does not exist. A process that is killed here leaves no token, or a
    complete one.

    The caller holds `start.lock`. A process of an earlier release may have left an empty token.
    """
    with suppress(FileNotFoundError):
        if token.read_text().strip():
            return
    draft = token.with_name("token.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    draft.replace(token)


def _command(files: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
        *(
            "--node-ip-address=127.0.0.1",
            "--port=0",
            "--dashboard-port=0",
            "--dashboard-agent-listen-port=0",
        ),
        f"--ray-client-server-port={_free_port()}",  # it takes no 0
        *("--include-dashboard=false", "--include-log-monitor=false", "--disable-usage-stats"),
        *(f"--temp-dir={files / 'ray'}", f"--object-store-memory={OBJECT_STORE}"),
    ]


def _inherited() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    if path := environment.get("PYTHONPATH"):  # the head has another working folder
        environment["PYTHONPATH"] = os.pathsep.join(
            os.path.abspath(folder) for folder in path.split(os.pathsep)
        )
    # After SIGTERM Ray would drain for 30 s; our roles have been drained by then.
    return environment | {"RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _accepts(address: str) -> bool:
    """Whether `address` is host:port and something accepts connections there."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        return False
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT).close()
    except OSError:
        return False
    return True


def _members(session: int) -> Iterator[tuple[int, bytes]]:
    """Yield the live processes of a session, each with its command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, _, its_session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                yield int(folder.name), (folder / "cmdline").read_bytes()


def _killed(session: int) -> list[int]:
    """Kill the processes of a session. Returns those that were alive."""
    members = [process for process, _ in _members(session)]
    for process in members:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return members


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL)
    return True


def _acquired(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(path: Path) -> Generator[None, None, None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it is empty")
