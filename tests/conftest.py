"""What every test may use.

Tests that start servers are marked `server`, and tests that start Ray `ray`.
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

RAY = Path(__file__).parent / "ray"
END_TO_END = Path(__file__).parent / "end_to_end"
SERVERS = {"kafka", "mariadb", "postgres", "redis", "server_folder"}
"""The fixtures that start servers, or that those ask for who start their own."""


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
    # A shell has what it starts in the background ignore Ctrl-C, and so the processes that tests
    # start
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
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
    """The seed of a random test: `--seed N`, else a new one.

    Printed, so that a failure can be repeated.
    """
    given: int | None = request.config.getoption("--seed")
    chosen = random.randrange(2**32) if given is None else given
    print(f"seed {chosen}: repeat with --seed {chosen}")  # pytest shows it with the failure
    return chosen


@pytest.fixture
def rng(seed: int) -> random.Random:
    """Chance that can be repeated."""
    return random.Random(seed)


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether a test may last minutes: `--thorough`."""
    return bool(request.config.getoption("--thorough"))


# --- servers ------------------------------------------------------------------------------------


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """Where a test starts servers of its own, which it may kill: pytest's folders are closed to the
    users that they run as.
    """
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One that runs all the session. Don't stop it."""
    with lent(Postgres) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """One that runs all the session. Don't stop it."""
    with lent(MariaDB) as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """One that runs all the session. Don't stop it; don't flush all of it."""
    with lent(Redis) as server:
        yield server


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """One that runs all the session. Don't stop it; give topics names of your own."""
    with lent(Kafka) as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """A database of the test's own."""
    with postgres.database(f"test_{uuid4().hex}") as url:
        yield url


@pytest.fixture
def mariadb_url(mariadb: MariaDB) -> Iterator[str]:
    """A database of the test's own."""
    with mariadb.database(f"test_{uuid4().hex}") as url:
        yield url


@pytest.fixture
def redis_url(redis: Redis) -> Iterator[str]:
    """A database of the test's own."""
    with redis.database(random.SystemRandom().randrange(1, DATABASES)) as url:
        yield url


@contextmanager
def lent(kind: type[S]) -> Generator[S, None, None]:
    """The one that `make services` keeps up, else one started now and stopped at the end.

    A server that can't be had fails the test.
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
    """A new folder that every user can enter, removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="workflow-ray-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # a server's guard may have been quicker
