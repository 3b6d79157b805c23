"""Fixtures for the stores of the runtimes under test."""

from pathlib import Path

import pytest


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store of the test's own, which does not exist yet."""
    return f"memory://{tmp_path}" if request.param == "memory" else f"sqlite:///{tmp_path}/runs.db"


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgres", marks=pytest.mark.server)])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """As `url`, or on a server that several processes may share."""
    match request.param:
        case "memory":
            return f"memory://{tmp_path}"
        case "sqlite":
            return f"sqlite:///{tmp_path}/runs.db"
        case _:
            place: str = request.getfixturevalue("postgres_url")
            return place
