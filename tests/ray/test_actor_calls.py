"""Actor calls repeat the methods that may be repeated, as IPC does."""

import pytest

from workflow_ray.errors import StoreUnavailable
from workflow_ray.runtime.ipc.methods import METHODS
from workflow_ray.runtime.ray import stores
from workflow_ray.runtime.ray.actors import Actor, ActorGone
from workflow_ray.runtime.ray.stores import ActorCalls


class LeavingActor(Actor):
    """An actor that dies in the first call."""

    calls = 0

    async def ask(self, method: str, *arguments: object) -> bytes:
        LeavingActor.calls += 1
        if LeavingActor.calls == 1:
            raise ActorGone("it was killed")
        return b"done"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> ActorCalls:
    def find(name: str, namespace: str) -> Actor:
        return LeavingActor(None)

    monkeypatch.setattr(stores, "find", find)
    monkeypatch.setattr(stores, "RETRY", 0.0)
    monkeypatch.setattr(LeavingActor, "calls", 0)
    return ActorCalls("orders")


@pytest.mark.parametrize("name", sorted(METHODS))
async def test_an_actor_call_is_repeated_only_if_its_method_is_repeatable(
    calls: ActorCalls, name: str
) -> None:
    if METHODS[name].is_repeatable:
        assert await calls.call(name, b"", deadline=30) == b"done"
        assert LeavingActor.calls == 2
    else:
        with pytest.raises(StoreUnavailable, match="it was killed"):
            await calls.call(name, b"", deadline=30)
        assert LeavingActor.calls == 1
