"""Redis."""

import shutil
from collections.abc import Generator
from contextlib import contextmanager

from tests.servers.installation import ensure
from tests.servers.ports import HOST, exchange
from tests.servers.server import Server

DATABASES = 10_000
OK = b"+OK\r\n"


class Redis(Server):
    """Keeps an append-only file.

    It is flushed to disk every second unless `appendfsync` says otherwise.
    """

    name = "redis"

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    @classmethod
    def install(cls) -> None:
        ensure("Redis", "redis-server", lambda: shutil.which("redis-server") is not None)

    @contextmanager
    def database(self, number: int) -> Generator[str, None, None]:
        """Give the URL of a database from 1 to 9,999, which is emptied before and after."""
        self._empty(number)
        try:
            yield f"redis://{HOST}:{self.port}/{number}"
        finally:
            self._empty(number)

    def _make(self) -> None:
        self.data.mkdir()

    def _command(self) -> list[str]:
        durable = {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "databases": str(DATABASES),
        }
        settings = {
            "bind": HOST,
            "port": str(self.port),
            "dir": str(self.data),
            **durable,
            **self.settings,
        }
        return [
            "redis-server",
            *(part for name, value in settings.items() for part in (f"--{name}", value)),
        ]

    def _ready(self) -> bool:
        # It answers -LOADING while it reads its file.
        return exchange(self.port, b"PING\r\n", 5) == b"+PONG"

    def _empty(self, number: int) -> None:
        exchange(self.port, b"SELECT %d\r\nFLUSHDB\r\n" % number, 2 * len(OK))
