"""`make servers`, `make services` and `make services-down`."""

import shutil
import sys

from tests.servers import KINDS, Kafka, NotInstalled, NotStarted, Postgres, Redis
from tests.servers.services import folder


def install() -> None:
    """Install what the servers need on this machine.

    Raises NotInstalled, which names everything that is missing.
    """
    missing: list[str] = []
    for kind in KINDS:
        try:
            kind.install()
        except NotInstalled as error:
            missing.append(str(error))
    if missing:
        raise NotInstalled("\n".join(missing))


def up() -> None:
    """Start the servers that do not run yet, and print how to use them."""
    root = folder()
    root.mkdir(mode=0o755, exist_ok=True)
    servers = {kind: kind(root, lasting=True) for kind in KINDS}
    for server in servers.values():
        server.start()
        print(f"# {server.name}: {server.url}")
    print(
        "# Tests find these servers by themselves. Runtimes and the command line find what these"
        " variables name, for example:"
    )
    print(f"export WORKFLOW_RAY_RECORDS={servers[Postgres].url}")
    print(f"export WORKFLOW_RAY_EVENTS={servers[Kafka].url}")
    print(f"export WORKFLOW_RAY_TIMEOUTS={servers[Redis].url}")


def down() -> None:
    """Stop them, and remove their data."""
    for kind in KINDS:
        kind(folder(), lasting=True).stop()
    shutil.rmtree(folder(), ignore_errors=True)


if __name__ == "__main__":
    try:
        {"install": install, "up": up, "down": down}[sys.argv[1]]()
    except (NotInstalled, NotStarted, PermissionError) as error:
        sys.exit(str(error))
