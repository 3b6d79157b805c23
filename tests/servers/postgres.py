"""PostgreSQL."""

import shutil
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.installation import ensure
from tests.servers.ports import HOST
from tests.servers.server import Server


class Postgres(Server):
    """One cluster; user postgres without a password."""

    name = "postgres"
    user = "postgres"
    stop_signal = signal.SIGINT  # SIGTERM would wait until every client has left

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    @classmethod
    def install(cls) -> None:
        ensure("PostgreSQL", "postgresql", lambda: _tool("initdb") is not None)

    @contextmanager
    def database(self, name: str) -> Generator[str, None, None]:
        """Give the URL of a new, empty database.

        It is dropped at the end, even if clients are connected.
        """
        self._sql(f'CREATE DATABASE "{name}"')
        try:
            yield f"postgresql://postgres@{HOST}:{self.port}/{name}"
        finally:
            self._sql(f'DROP DATABASE "{name}" WITH (FORCE)')

    def _make(self) -> None:
        self._run(
            str(_tool("initdb")),
            "-D",
            str(self.data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )

    def _command(self) -> list[str]:
        settings = {"max_connections": "200", "shared_buffers": "64MB", **self.settings}
        extra = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [
            str(_tool("postgres")),
            "-D",
            str(self.data),
            "-h",
            HOST,
            "-p",
            str(self.port),
            "-k",
            "",
            *extra,
        ]

    def _ready(self) -> bool:
        asked = [
            str(_tool("pg_isready")),
            "--quiet",
            "--host",
            HOST,
            "--port",
            str(self.port),
            "--username",
            "postgres",
        ]
        return subprocess.run(asked, check=False).returncode == 0

    def _sql(self, statement: str) -> None:
        self._run(
            str(_tool("psql")),
            "--quiet",
            "--no-psqlrc",
            "--dbname",
            self.url,
            "--command",
            statement,
        )


def _tool(name: str) -> Path | None:
    """Return the path of a tool of the newest version.

    Debian keeps the server's tools in a folder for each version, and not on the PATH.
    """
    found = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3])
    )
    if found:
        return found[-1]
    elsewhere = shutil.which(name)
    return None if elsewhere is None else Path(elsewhere)
