"""Fixtures of the tests of clients."""

import pytest

from tests.unit.client.orders import Shop


@pytest.fixture
def here() -> Shop:
    return Shop()
