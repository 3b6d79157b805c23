"""Lets a test see that the shop's hook was called."""

import pytest

from tests.shop import shop

thanked: list[str] = []
"""The foreign ids of the runs that it was called for."""


async def _note(run: shop.OrderRun) -> None:
    thanked.append(run.foreign_id)


def note_thanks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the hook note its runs. Returns the list, which is empty at first.

    The definition holds the function, whose body does nothing, so its code is replaced.
    """
    thanked.clear()
    monkeypatch.setattr(shop, "thanked", thanked, raising=False)
    monkeypatch.setattr(shop.thank, "__code__", _note.__code__)
    return thanked
