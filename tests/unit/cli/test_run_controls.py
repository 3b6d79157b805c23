"""Who controls runs from the command line."""

import getpass

import pytest

from workflow_ray.cli import asking


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("no username")])
def test_a_user_without_a_name_is_known_by_number(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", fail)
    assert asking.name_of_user().isdecimal()
