"""Real servers on loopback, for tests and development.

Each has a folder of its own, and starts again on the data there:

    with Postgres(root) as server:
        connect(server.url); server.kill(); server.start(); connect(server.url)
"""

from tests.servers.installation import NotInstalled
from tests.servers.kafka import Kafka
from tests.servers.mariadb import MariaDB
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.server import NotStarted, Server

__all__ = ["KINDS", "Kafka", "MariaDB", "NotInstalled", "NotStarted", "Postgres", "Redis", "Server"]

KINDS = (Postgres, MariaDB, Redis, Kafka)
