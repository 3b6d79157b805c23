"""MariaDB."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager

from tests.servers.installation import ensure
from tests.servers.ports import HOST, exchange
from tests.servers.server import Server

PROTOCOL = 10
"""The first byte of the greeting; 255 would be an error."""


class MariaDB(Server):
    """User root without a password; the database `test` exists."""

    name = "mariadb"
    user = "mysql"

    @property
    def url(self) -> str:
        return f"mariadb://root@{HOST}:{self.port}/test"

    @classmethod
    def install(cls) -> None:
        ensure("MariaDB", "mariadb-server", lambda: _server() is not None)

    @contextmanager
    def database(self, name: str) -> Generator[str, None, None]:
        """Give the URL of a new, empty database, which is dropped at the end."""
        self._sql(f"CREATE DATABASE `{name}`")
        try:
            yield f"mariadb://root@{HOST}:{self.port}/{name}"
        finally:
            self._sql(f"DROP DATABASE `{name}`")

    def _make(self) -> None:
        who = ["--user=mysql"] if os.geteuid() == 0 else []
        # "normal" gives root an empty password instead of a check of the socket's user
        access = [
            "--auth-root-authentication-method=normal",
            "--skip-name-resolve",
            "--skip-test-db",
        ]
        self._run("mariadb-install-db", *self._places(), *who, *access)
        (self.folder / "first.sql").write_text("CREATE DATABASE IF NOT EXISTS test;\n")

    def _command(self) -> list[str]:
        where = [
            f"--bind-address={HOST}",
            f"--port={self.port}",
            f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}",
        ]
        settings = {
            "innodb-buffer-pool-size": "64M",
            "max-connections": "200",
            "character-set-server": "utf8mb4",
            **self.settings,
        }
        extra = [f"--{name}={value}" for name, value in settings.items()]
        first = f"--init-file={self.folder / 'first.sql'}"
        return [str(_server()), *self._places(), *where, "--skip-name-resolve", first, *extra]

    def _places(self) -> list[str]:
        """Return the options for its folders.

        The temporary folder is its own: in a shared one a start deletes files that other servers
        use.
        """
        return ["--no-defaults", f"--datadir={self.data}", f"--tmpdir={self.folder}"]

    def _ready(self) -> bool:
        return exchange(self.port, b"", 5)[4] == PROTOCOL

    def _sql(self, statement: str) -> None:
        self._run(
            "mariadb",
            "--no-defaults",
            f"--host={HOST}",
            f"--port={self.port}",
            "--user=root",
            f"--execute={statement}",
        )


def _server() -> str | None:
    return shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
