"""What every test may use."""

import random

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="repeat a random test with the seed that it printed")


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """The seed of a random test: `--seed N`, else a new one. Printed, so that a failure can be repeated."""
    given: int | None = request.config.getoption("--seed")
    chosen = random.randrange(2**32) if given is None else given
    print(f"seed {chosen}: repeat with --seed {chosen}")  # pytest shows it with the failure
    return chosen


@pytest.fixture
def rng(seed: int) -> random.Random:
    """Chance that can be repeated."""
    return random.Random(seed)
