"""Fixtures of the tests of definitions."""

import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.unit.definition.modules import forget


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A unique module name. Modules that were imported under it are removed after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    name = f"shop_{uuid4().hex}"
    yield name
    forget(name)
