"""Fixtures of all tests.

Tests that start servers are marked `server`, and tests that start Ray are marked `ray`.
"""

import random
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers import Kafka, MariaDB, NotInstalled, NotStarted, Postgres, Redis
from tests.servers.redis import DATABASES
from tests.servers.services import S, running

# An installed package loads it by its entry point, which a checkout need not have.
pytest_plugins = ["workflow_ray.testing.plugin"]

RAY = Path(__file__).parent / "ray"
END_TO_END = Path(__file__).parent / "end_to_end"
SERVERS = {"kafka", "mariadb", "postgres", "redis", "server_folder"}
"""The fixtures that start servers, or that tests with servers of their own use."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--seed", type=int, default=None, help="repeat a random test with the seed that it printed"
    )
    parser.addoption(
        "--thorough",
        action="store_true",
        help="run the tests that last minutes for as long as the claims that they prove",
    )


def pytest_configure() -> None:
    # Programs that a shell starts in the background ignore Ctrl-C, and so do the processes that
    # tests start
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects tests
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and SERVERS.intersection(item.fixturenames):
            item.add_marker("server")
        if item.path.is_relative_to(RAY):
            item.add_marker("ray")
        if item.path.is_relative_to(END_TO_END):
            item.add_marker("end_to_end")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of a random test: `--seed N`, or a new one.

    It is printed, so that a failure can be repeated.
    """
    given: int | None = request.config.getoption("--seed")
    chosen = random.randrange(2**32) if given is None else given
    print(f"seed {chosen}: repeat with --seed {chosen}")  # pytest shows it with a failure
    return chosen


@pytest.fixture
def rng(seed: int) -> random.Random:
    """A random generator with the seed of the test."""
    return random.Random(seed)


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether a test may take minutes: `--thorough`."""
    return bool(request.config.getoption("--thorough"))


# --- servers ------------------------------------------------------------------------------------


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """A folder for servers of the test's own, which it may kill.

    The users that they run as can't enter pytest's folders.
    """
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for the whole session. Don't stop it."""
    with lent(Postgres) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A server for the whole session. Don't stop it."""
    with lent(MariaDB) as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """A server for the whole session. Don't stop it, and don't flush all of it."""
    with lent(Redis) as server:
        yield server


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """A broker for the whole session. Don't stop it, and use topic names of your own."""
    with lent(Kafka) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a database of the test's own."""
    with postgres.database(f"test_{uuid4().hex}") as url:
        yield url


@pytest.fixture
def mariadb_url(mariadb: MariaDB) -> Iterator[str]:
    """The URL of a database of the test's own."""
    with mariadb.database(f"test_{uuid4().hex}") as url:
        yield url


@pytest.fixture
def redis_url(redis: Redis) -> Iterator[str]:
    """The URL of a database of the test's own."""
    with redis.database(random.SystemRandom().randrange(1, DATABASES)) as url:
        yield url


@contextmanager
def lent(kind: type[S]) -> Generator[S, None, None]:
    """The server that `make services` keeps running, or one that is started for the session.

    If the server can't be installed or started, the test fails.
    """
    if (found := running(kind)) is not None:
        yield found
        return
    with open_folder() as folder:
        try:
            server = kind(folder)
            server.start()
        except (NotInstalled, NotStarted) as error:
            pytest.fail(str(error), pytrace=False)
        with server:
            yield server


@contextmanager
def open_folder() -> Generator[Path, None, None]:
    """Make a new folder that every user can enter, and remove it at the end."""
    folder = Path(tempfile.mkdtemp(prefix="workflow-ray-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a server's guard may have removed it already
