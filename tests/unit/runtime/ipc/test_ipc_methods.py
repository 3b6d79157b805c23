"""A call over IPC has the same arguments and the same outcome as the call itself."""

import ast
import inspect
import logging
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

import workflow_ray.runtime
from tests.unit.runtime.ipc.cases import CASES, ERRORS, FENCE, TOPIC, sample
from tests.unit.runtime.ipc.loopback import Loopback, RecordingStore
from tests.unit.runtime.ipc.serving import SERVED
from workflow_ray.errors import RoleLost, StoreError, StoreUnavailable, WorkflowError
from workflow_ray.ports import STORE_PORTS, OutboxMover, RecordStore, SystemClock, Trimmer
from workflow_ray.ports.methods import methods_of, properties_of
from workflow_ray.records import Arrivals, Deployment
from workflow_ray.runtime.ipc import About, records_over, remote_store, store_over
from workflow_ray.runtime.ipc.methods import METHODS
from workflow_ray.runtime.ipc.served import ServerMethods
from workflow_ray.runtime.mixed import keeps_timeouts_apart, mixed
from workflow_ray_adapters.memory import MemoryStore


def test_every_method_of_the_ports_is_served_and_has_a_case() -> None:
    methods = methods_of(*STORE_PORTS).keys()
    assert METHODS.keys() - methods_of(ServerMethods).keys() == CASES.keys() == methods


def test_no_module_that_forwards_calls_names_a_method_of_a_port() -> None:
    """So a new method of a port needs no change there."""
    runtime = Path(workflow_ray.runtime.__file__).parent
    for path in (runtime / "bridge.py", *runtime.glob("ipc/*.py"), runtime / "ray" / "stores.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        texts = {node.value for node in nodes if isinstance(node, ast.Constant)}
        assert not texts & CASES.keys(), path


def test_the_remote_store_has_the_methods_and_signatures_of_its_ports() -> None:
    """The type checkers can't see this, because the methods are derived."""
    transport = Loopback(RecordingStore(None))
    remote = store_over(transport, SERVED)
    for store, ports in ((remote, STORE_PORTS), (records_over(transport), (RecordStore,))):
        for name, method in methods_of(*ports).items():
            declared = inspect.signature(method.declared)
            _, *parameters = declared.parameters.values()
            bound = declared.replace(parameters=parameters)
            assert inspect.signature(getattr(store, name)) == bound
    for name in properties_of(*STORE_PORTS):
        assert isinstance(getattr(remote, name), str)


@pytest.mark.parametrize("name", CASES)
async def test_a_call_over_ipc_has_the_arguments_and_the_answer_of_the_call_itself(
    name: str,
) -> None:
    args, named, expected, _ = CASES[name]
    store = RecordingStore(expected)
    direct = await getattr(store, name)(*args, **named)
    remote = await getattr(store_over(Loopback(store), SERVED), name)(*args, **named)
    assert remote == direct
    assert store.calls[0] == store.calls[1]


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "wait" in case.named])
async def test_the_deadline_of_a_long_poll_is_its_wait_plus_the_patience(name: str) -> None:
    args, named, expected, _ = CASES[name]
    transport = Loopback(RecordingStore(expected))
    await getattr(store_over(transport, SERVED, patience=10.0), name)(*args, **named)
    assert transport.deadline == named["wait"] + 10.0


class Still:
    """A store that is not an OutboxMover."""

    store_id, stream_id = "s", "kafka"


async def test_a_store_says_which_optional_ports_it_implements() -> None:
    moving = await remote_store(Loopback(MemoryStore(SystemClock())))
    still = await remote_store(Loopback(Still()))
    assert (isinstance(moving, OutboxMover), isinstance(still, OutboxMover)) == (True, False)
    assert (still.store_id, still.stream_id) == ("s", "kafka")


async def test_a_store_whose_events_are_elsewhere_refuses_to_move_them() -> None:
    store = store_over(Loopback(Still()), SERVED)
    assert isinstance(store, OutboxMover)
    with pytest.raises(StoreError, match="its events are elsewhere"):
        await store.move(FENCE, limit=1, wait=0)


async def test_a_streamer_that_keeps_its_log_is_trimmed_through_ipc_also_where_no_event_moves() -> (
    None
):
    records, events = MemoryStore(SystemClock()), MemoryStore(SystemClock())
    store = await remote_store(Loopback(mixed(records, events, None)))
    assert isinstance(store, Trimmer)
    assert not isinstance(store, OutboxMover)
    assert await store.trim(FENCE, TOPIC, {5: 9}, limit=500) == 0


async def test_clients_know_that_timeouts_are_in_another_store() -> None:
    records, timeouts = MemoryStore(SystemClock()), MemoryStore(SystemClock())
    assert keeps_timeouts_apart(await remote_store(Loopback(mixed(records, None, timeouts))))
    assert not keeps_timeouts_apart(await remote_store(Loopback(records)))


def test_the_description_of_a_store_has_every_property_of_its_ports() -> None:
    assert set(properties_of(*STORE_PORTS)) <= set(About.__struct_fields__)


async def test_records_send_nothing_before_the_first_call() -> None:
    deployment = Deployment(store_id="s", version=2)
    transport = Loopback(RecordingStore(deployment))
    assert await records_over(transport, patience=5.0).deployment() == deployment
    assert transport.deadline == 5.0


async def test_a_collection_of_any_type_is_sent() -> None:
    store = RecordingStore({})
    remote = store_over(Loopback(store), SERVED)
    await remote.ends(TOPIC, {5: "a", 6: "b"}.keys())
    await remote.ends(TOPIC, frozenset([7]))
    assert [arguments["partitions"] for _, arguments in store.calls] == [[5, 6], [7]]
    lagging = RecordingStore(3)
    assert await store_over(Loopback(lagging), SERVED).lag(TOPIC, MappingProxyType({5: 9})) == 3
    assert lagging.calls == [("lag", {"topic": TOPIC, "offsets": {5: 9}})]


async def test_arguments_that_the_port_does_not_take_are_refused_at_the_call() -> None:
    remote: Any = store_over(Loopback(RecordingStore(None)), SERVED)
    with pytest.raises(TypeError, match="required argument 'offsets'"):
        await remote.lag(TOPIC)
    with pytest.raises(TypeError, match="positional"):
        await remote.lag(TOPIC, {}, 1)
    with pytest.raises(TypeError, match="limit"):
        await remote.lag(TOPIC, {}, limit=1)
    with pytest.raises(TypeError, match="positional"):
        await remote.move(FENCE, 1, 0.0)  # limit and wait are named


def test_arguments_travel_as_maps_by_the_names_of_parameters() -> None:
    """Code of other releases reads this, so a change here needs a new method."""
    receive = METHODS["receive"]
    request = receive.request(receive.arguments(TOPIC, {5: 9}, reader="r", limit=10, wait=0.5))
    assert msgspec.msgpack.decode(request) == {
        "topic": "orders-1",
        "offsets": {5: 9},
        "reader": "r",
        "limit": 10,
        "wait": 0.5,
    }
    assert receive.result(msgspec.msgpack.encode({"value": Arrivals(events=())})) == Arrivals(
        events=()
    )
    assert METHODS["leave"].result(msgspec.msgpack.encode({"value": None})) is None
    with pytest.raises(RoleLost):
        receive.result(
            msgspec.msgpack.encode({"raised": {"error": "RoleLost", "fields": ["role", 7, 8]}})
        )


@pytest.mark.parametrize("kind", ERRORS)
async def test_an_error_of_the_store_arrives_as_itself(kind: type[WorkflowError]) -> None:
    raised = sample(kind)
    with pytest.raises(kind) as caught:
        await store_over(Loopback(RecordingStore(raised)), SERVED).deployment()
    assert type(caught.value) is kind
    assert vars(caught.value) == vars(raised)
    assert str(caught.value) == str(raised)


async def test_any_other_exception_is_an_unknown_outcome_and_logged_by_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(StoreUnavailable, match="deployment failed there \\(ZeroDivisionError\\)"),
    ):
        await store_over(Loopback(RecordingStore(ZeroDivisionError("secret"))), SERVED).deployment()
    assert [record.exc_info is not None for record in caplog.records] == [True]
