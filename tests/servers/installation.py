"""Installs what a server needs on this machine, or names what is missing."""

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache

APT = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq"]


class NotInstalled(Exception):
    """A server needs something that is missing, and that this user can't install.

    The message is one line: what is missing, and what to do.
    """


def ensure(what: str, package: str, there: Callable[[], bool]) -> None:
    """Install a Debian package unless its program is there already.

    Raises NotInstalled.
    """
    if there():
        return
    advice = f"{what} isn't installed. Install it (Debian and Ubuntu: apt-get install {package})"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise NotInstalled(f"{advice}; as root, on Debian, it is installed for you.")
    done = _install(package)
    if done.returncode or not there():
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        raise NotInstalled(f"{advice}: apt-get couldn't: {last}")


def _install(package: str) -> subprocess.CompletedProcess[str]:
    _update()
    return _apt("install", "--yes", "--no-install-recommends", package)


@cache
def _update() -> None:
    _apt("update")  # If this fails, the installation says why.


def _apt(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    return subprocess.run(
        [*APT, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
