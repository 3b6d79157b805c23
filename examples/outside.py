"""An outside service that examples can call, such as a bank, in a file of its own.

It does a thing once for each idempotency key, as services do that take one: a second call with the
key gets the first answer. So the file shows whether a crash has doubled anything.
"""

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path

FOLDER = Path(os.environ.get("WORKFLOW_RAY_EXAMPLES", "build/examples"))
"""Where examples keep their files, unless the variable names another folder."""
SECONDS = 0.15
"""How long a call takes."""


class Service:
    """An outside service.

    Args:
        name: Names it, and its file.
        folder: Where its file is.
    """

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self._file = folder / f"{name}.db"
        with closing(sqlite3.connect(self._file)) as database:
            database.execute("CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY, what, answer)")

    async def do(self, what: str, answer: str, *, idempotency_key: str) -> str:
        """Do a thing, and print a line. A key that is known does nothing, and prints nothing.

        Args:
            what: Says what is done.
            answer: What the service answers.
            idempotency_key: Names the thing for good.

        Returns:
            The answer of the first call with the key.
        """
        await asyncio.sleep(SECONDS)
        return await asyncio.to_thread(self._do, what, answer, idempotency_key)

    def _do(self, what: str, answer: str, key: str) -> str:
        with closing(sqlite3.connect(self._file)) as database:
            with database:  # it commits here
                new = database.execute(
                    "INSERT INTO done VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (key, what, answer)
                )
            if new.rowcount:
                # one write, because other threads print too
                print(f"{self.name}: {what}\n", end="", flush=True)
            first = database.execute("SELECT answer FROM done WHERE key = ?", (key,)).fetchone()
        return str(first[0])

    def done(self) -> list[str]:
        """Return all that was ever done, in order."""
        with closing(sqlite3.connect(self._file)) as database:
            return [what for (what,) in database.execute("SELECT what FROM done ORDER BY rowid")]
