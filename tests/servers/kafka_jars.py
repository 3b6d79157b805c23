"""Kafka's jars, which Maven brings to a cache outside of the tree, and the Java that runs them."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from typing import TypeAlias

from tests.servers.installation import NotInstalled, ensure

POM = Path(__file__).with_name("pom.xml")
ARCHIVE = "kafka.jsa"
JVM = [
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-XX:+ExitOnOutOfMemoryError",
]
"""One compiler and the serial collector: half the CPU of a start.

Java ignores an archive of another version.
"""

Archiver: TypeAlias = Callable[[Path, Path], None]
"""Writes an archive of classes, given a working folder and the archive's path.

The jars are in `libraries` then.
"""


def libraries() -> Path:
    """Return the folder of the jars: KAFKA_LIBS, or one in the user's cache.

    The folder in the cache depends on the content of pom.xml.
    """
    if given := os.environ.get("KAFKA_LIBS"):
        return Path(given).resolve()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "workflow-ray" / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"


def java(*arguments: str) -> list[str]:
    """Return the command that runs Java."""
    archive = libraries() / ARCHIVE
    return [
        _java(),
        *JVM,
        *([f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []),
        *arguments,
    ]


def installed(archive_classes: Archiver) -> None:
    """Bring the jars, and an archive of their classes, to `libraries`.

    Idempotent. Raises NotInstalled.
    """
    ensure("Java", "default-jre-headless", lambda: shutil.which(_java()) is not None)
    folder = libraries()
    if _jars(folder):
        return
    if "KAFKA_LIBS" in os.environ:
        raise NotInstalled(
            f"KAFKA_LIBS={folder} holds no jars of Kafka. Unset it: Maven then brings them."
        )
    with _alone(folder.with_suffix(".lock")):
        if not _jars(folder):
            _fetch(folder)
            _archive(folder, archive_classes)


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    return f"{home}/bin/java" if home else "java"


def _jars(folder: Path) -> bool:
    return any(folder.glob("kafka_*.jar"))


@contextmanager
def _alone(lock: Path) -> Generator[None, None, None]:
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(folder: Path) -> None:
    ensure("Maven, which brings Kafka,", "maven", lambda: shutil.which("mvn") is not None)
    new = folder.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    maven = ["mvn", "--quiet", "--batch-mode", "-Dstyle.color=never", "--file", str(POM)]
    command = [*maven, "dependency:copy-dependencies", f"-DoutputDirectory={new}"]
    done = subprocess.run(
        command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, text=True, check=False
    )
    if done.returncode:
        why = next((line for line in done.stdout.splitlines() if "ERROR" in line), "no output")
        raise NotInstalled(
            f"Maven can't bring Kafka: {why}. Set KAFKA_LIBS to a folder with the jars that {POM}"
            " names."
        )
    new.replace(folder)


def _archive(folder: Path, archive_classes: Archiver) -> None:
    with tempfile.TemporaryDirectory(prefix="workflow-ray-kafka-") as root:
        written = Path(root) / ARCHIVE
        archive_classes(Path(root), written)
        if written.exists():
            shutil.move(written, folder / ARCHIVE)
