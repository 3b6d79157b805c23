"""`make services` and `make services-down`."""

import shutil
import sys

from tests.servers import KINDS, Kafka, MariaDB, NotInstalled, NotStarted, Postgres, Redis
from tests.servers.services import folder

USES = {
    Postgres: ("RECORDS", "EVENTS", "TIMEOUTS"),
    MariaDB: ("RECORDS", "EVENTS", "TIMEOUTS"),
    Redis: ("RECORDS", "EVENTS", "TIMEOUTS"),
    Kafka: ("EVENTS",),
}
"""The environment variables, WORKFLOW_RAY_..., that a server's URL fits."""


def up() -> None:
    """Start what doesn't run yet, and say how to use it."""
    root = folder()
    root.mkdir(mode=0o755, exist_ok=True)
    for kind in KINDS:
        server = kind(root, lasting=True)
        server.start()
        for use in USES[kind]:
            print(f"export WORKFLOW_RAY_{use}={server.url}")
    print("# Events and timeouts are where the records are, unless you say otherwise. Tests find these servers by themselves.")


def down() -> None:
    """Stop them, and remove their data."""
    for kind in KINDS:
        kind(folder(), lasting=True).stop()
    shutil.rmtree(folder(), ignore_errors=True)


if __name__ == "__main__":
    try:
        {"up": up, "down": down}[sys.argv[1]]()
    except (NotInstalled, NotStarted, PermissionError) as error:
        sys.exit(str(error))
