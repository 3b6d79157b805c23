"""Different releases talk to each other, or refuse with advice."""

from typing import Protocol, cast

import msgspec
import pytest

from tests.unit.runtime.ipc.serving import SERVED
from workflow_ray.errors import StoreError, WorkflowError
from workflow_ray.ports import Store
from workflow_ray.ports.methods import methods_of
from workflow_ray.runtime.ipc import Served, answer, store_over
from workflow_ray.runtime.ipc.answers import Answer, Raised
from workflow_ray.runtime.ipc.methods import METHODS, Method


class Older(Protocol):
    async def look(self, run: str, *, deep: bool) -> int: ...


class Newer(Protocol):
    async def look(self, run: str, *, deep: bool, also: str = "") -> int: ...


class Demanding(Protocol):
    async def look(self, run: str, *, deep: bool, also: str) -> int: ...


class Changed(Protocol):
    async def look(self, run: str, *, deep: bool) -> str: ...


def look(port: type) -> Method:
    return Method(methods_of(port)["look"])


@pytest.mark.parametrize(("caller", "store"), [(Older, Newer), (Newer, Older)])
async def test_a_parameter_with_a_default_may_be_added_at_either_end_first(
    caller: type, store: type
) -> None:
    async def asked(run: str, *, deep: bool, also: str = "") -> int:
        assert (run, deep, also) == ("r", True, "")
        return 7

    body = look(caller).request(look(caller).arguments("r", deep=True))
    assert look(caller).result(await look(store).perform(asked, body)) == 7


async def test_arguments_and_answers_of_other_code_are_refused_with_advice() -> None:
    async def asked(run: str, *, deep: bool) -> int:
        return 7

    body = look(Older).request(look(Older).arguments("r", deep=True))
    with pytest.raises(
        StoreError, match=r"the arguments of 'look' can't be decoded .*`also`.*Upgrade both"
    ):
        await look(Demanding).perform(asked, body)
    with pytest.raises(StoreError, match=r"the answer to 'look' can't be decoded .*Upgrade both"):
        look(Changed).result(await look(Older).perform(asked, body))


async def test_an_error_that_only_newer_code_knows_keeps_its_name_and_fields() -> None:
    class Newer:
        async def call(self, method: str, body: bytes, *, deadline: float) -> bytes:
            return msgspec.msgpack.encode(Answer[None](raised=Raised("RunFrozen", ("order-1", 3))))

    with pytest.raises(WorkflowError, match="RunFrozen: order-1, 3"):
        await store_over(Newer(), SERVED).deployment()


async def test_a_method_that_only_newer_code_knows_is_refused_with_advice() -> None:
    body = await answer(Served(cast(Store, object())), "freeze", b"")
    with pytest.raises(StoreError, match=r"doesn't know 'freeze'.*Upgrade the deployment"):
        METHODS["deployment"].result(body)
