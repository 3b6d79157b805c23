"""The supervisor's decisions, without Ray and without time."""

from msgspec import structs

from workflow_ray.definition import RayOptions
from workflow_ray.definition.ray_options import NOTHING
from workflow_ray.records import DeployedWorkflow, Deployment, Role
from workflow_ray.runtime.ray.state import (
    DRAINING,
    LONGEST_DELAY,
    LONGEST_UNUSABLE_DELAY,
    STEADY,
    ActorReport,
    Drain,
    Phase,
    Slot,
    Start,
    Wanted,
    after_end,
    after_report,
    after_start,
    forget_failures,
    next_due,
    plan,
    wanted_by,
)

STORE = Wanted("store", None)
GPU = RayOptions(num_gpus=1)


def shard(number: int, of: int, code: str = "v1") -> Wanted:
    role = Role("orders-1-consumer", number, of)
    return Wanted(role.name, role, code)


def at_work(wanted: Wanted, since: float = 0.0) -> Slot:
    return after_report(
        after_start(None, wanted),
        ActorReport(phase=Phase.RUNNING, pid=1, node="n", code=wanted.code),
        since,
    )


def on_standby(wanted: Wanted) -> Slot:
    return after_report(
        after_start(None, wanted),
        ActorReport(phase=Phase.STANDBY, pid=1, node="n", code=wanted.code),
        0.0,
    )


def slots(*at: Slot) -> dict[str, Slot]:
    return {slot.wanted.name: slot for slot in at}


def crashed(slot: Slot, now: float) -> Slot:
    """Return the slot after its next actor was started, and died at once."""
    return after_end(after_start(slot, slot.wanted), "it was killed", now)


def test_what_should_run_and_does_not_is_started() -> None:
    assert plan([STORE, shard(1, 1)], {}, now=0.0) == [Start(STORE), Start(shard(1, 1))]


def test_an_actor_that_runs_as_it_should_is_not_touched() -> None:
    assert plan([STORE, shard(1, 1)], slots(at_work(STORE), at_work(shard(1, 1))), now=0.0) == []


def test_what_should_not_run_any_more_is_drained_once() -> None:
    known = slots(at_work(STORE), at_work(shard(1, 1)))
    assert plan([STORE], known, now=0.0) == [Drain("orders-1-consumer-1-of-1")]
    known["orders-1-consumer-1-of-1"] = Slot(shard(1, 1), occupied=True, draining=True)
    assert plan([STORE], known, now=0.0) == []


def test_new_shards_wait_for_none_of_another_count_which_are_fenced_off() -> None:
    scaled = [shard(1, 2), shard(2, 2)]
    assert plan(scaled, slots(at_work(shard(1, 1))), now=0.0) == [
        Drain("orders-1-consumer-1-of-1"),
        *(Start(one) for one in scaled),
    ]


def test_a_role_starts_only_when_those_of_its_shards_that_drain_have_ended() -> None:
    draining = Slot(shard(2, 2), occupied=True, draining=True)
    waiting = after_end(after_start(None, shard(1, 2)), "it was killed", now=0.0)
    assert plan([shard(1, 2)], slots(draining, waiting), now=1.0) == []
    assert next_due([shard(1, 2)], slots(draining, waiting), now=1.0) is None


def test_a_changed_definition_starts_its_roles_again() -> None:
    assert plan([shard(1, 1, "v2")], slots(at_work(shard(1, 1, "v1"))), now=0.0) == [
        Drain("orders-1-consumer-1-of-1")
    ]


def test_an_attached_actor_with_older_code_is_known_once_it_reports() -> None:
    silent = after_start(None, shard(1, 1, ""), attached=True)
    assert plan([shard(1, 1, "v2")], slots(silent), now=0.0) == []
    assert plan([], slots(silent), now=0.0) == [Drain("orders-1-consumer-1-of-1")]
    known = after_report(
        silent, ActorReport(phase=Phase.RUNNING, pid=1, node="n", code="v1"), now=0.0
    )
    assert plan([shard(1, 1, "v2")], slots(known), now=0.0) == [Drain("orders-1-consumer-1-of-1")]


def test_restarts_are_immediate_first_and_then_ever_slower() -> None:
    slot = after_start(None, STORE)
    delays: list[float] = []
    for _ in range(9):
        slot = crashed(slot, now=100.0)
        delays.append(round(slot.due - 100.0, 3))
    assert delays == [0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, LONGEST_DELAY, LONGEST_DELAY]


def test_an_actor_waits_for_its_turn_and_the_pass_after_knows_when() -> None:
    slot = crashed(crashed(after_start(None, STORE), now=0.0), now=0.0)
    assert plan([STORE], slots(slot), now=0.1) == []
    assert next_due([STORE], slots(slot), now=0.1) == 0.2
    assert plan([STORE], slots(slot), now=0.2) == [Start(STORE)]


def unloadable(slot: Slot, now: float) -> Slot:
    """Return the slot after its next actor could not load its definition."""
    code = slot.wanted.code
    report = ActorReport(phase=Phase.ENDED, pid=1, node="n", code=code, crashed=True, unusable=True)
    return after_end(after_report(after_start(slot, slot.wanted), report, now), "no module", now)


def test_a_definition_that_can_not_be_loaded_is_tried_ever_more_seldom() -> None:
    slot = after_start(None, shard(1, 1))
    delays: list[float] = []
    for _ in range(8):
        slot = unloadable(slot, now=100.0)
        delays.append(slot.due - 100.0)
    assert delays == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, *[LONGEST_UNUSABLE_DELAY] * 2]


def test_an_actor_whose_failures_are_forgotten_starts_at_once() -> None:
    slot = unloadable(after_start(None, shard(1, 1)), now=100.0)
    found = slots(slot)
    assert plan([shard(1, 1)], found, now=101.0) == []
    forget_failures(found, lambda slot: slot.unusable)
    assert plan([shard(1, 1)], found, now=101.0) == [Start(shard(1, 1))]


def test_an_actor_that_worked_for_a_while_has_its_failures_forgotten() -> None:
    failed = crashed(crashed(after_start(None, STORE), now=0.0), now=0.0)
    working = after_report(
        after_start(failed, STORE), ActorReport(phase=Phase.RUNNING, pid=1, node="n"), now=1.0
    )
    assert after_end(working, "it was killed", now=1.0 + STEADY).failures == 1
    assert after_end(working, "it was killed", now=1.5).failures == 3
    ended = after_report(
        working, ActorReport(phase=Phase.ENDED, pid=1, node="n", crashed=True), now=1.0 + STEADY
    )
    assert after_end(ended, "it crashed", now=1.0 + STEADY).failures == 1


def test_an_actor_that_ends_when_told_has_not_failed() -> None:
    slot = after_end(
        Slot(STORE, occupied=True, draining=True, failures=3), "it was asked to stop", now=5.0
    )
    assert (slot.failures, slot.due) == (0, 5.0)


def told(slot: Slot, was_started_with: RayOptions, asks: RayOptions, now: float) -> Slot:
    """Return the slot after its next actor was started, and told that it asks for something."""
    started = after_start(slot, slot.wanted, asks=was_started_with)
    report = ActorReport(phase=Phase.ENDED, pid=1, node="n", asks=asks)
    return after_end(after_report(started, report, now), "it is started again", now)


def test_an_actor_that_tells_what_it_asks_for_is_started_again_at_once() -> None:
    slot = told(Slot(shard(1, 1)), NOTHING, GPU, now=5.0)
    assert (slot.failures, slot.due) == (0, 5.0)


def test_actors_that_ask_for_something_else_each_time_are_started_less_and_less_often() -> None:
    slot = Slot(shard(1, 1))
    for _ in range(20):
        slot = told(told(slot, NOTHING, GPU, now=5.0), GPU, NOTHING, now=5.0)
    assert slot.due == 5.0 + LONGEST_DELAY


def test_a_scaled_step_does_not_restart_the_others_and_a_new_status_does() -> None:
    before = _deployment(statuses={"CREATED": 1, "PAID": 2}, shards=1)
    scaled = _deployment(statuses={"CREATED": 1, "PAID": 2}, shards=2)
    widened = _deployment(statuses={"CREATED": 1, "PAID": 2, "SHIPPED": 3}, shards=1)
    names = {one.name for one in wanted_by(before)} & {one.name for one in wanted_by(scaled)}
    assert names == {"orders-2-consumer-1-of-1", "outbox-publisher-1-of-1"}
    assert [one for one in wanted_by(before) if one.name in names] == [
        one for one in wanted_by(scaled) if one.name in names
    ]
    changed = set(wanted_by(before)) - set(wanted_by(widened))
    assert {one.name for one in changed} == {"orders-1-consumer-1-of-1", "orders-2-consumer-1-of-1"}


def test_groups_that_are_being_scaled_leave_and_run_again_only_after_a_bounded_time() -> None:
    before = _deployment(statuses={"CREATED": 1, "PAID": 2}, shards=1)
    workflow = structs.replace(before.workflows[0], draining=("orders-1-consumer",))
    draining = structs.replace(before, version=2, workflows=(workflow,))
    at = slots(*(at_work(one) for one in wanted_by(before)))
    assert plan(wanted_by(draining, known_for=0.0), at, now=0.0) == [
        Drain("orders-1-consumer-1-of-1")
    ]
    assert {one.shard_set[0] for one in wanted_by(draining, known_for=DRAINING - 0.1)} == {
        "orders-2-consumer",
        "outbox-publisher",
    }
    assert wanted_by(draining, known_for=DRAINING) == wanted_by(before)


def test_the_shard_set_the_next_count_are_wanted_while_the_current_ones_drain() -> None:
    before, after = _deployment({"CREATED": 1}, shards=1), _deployment({"CREATED": 1}, shards=2)
    next_shards = [one for one in wanted_by(after) if one.shard_set == ("orders-1-consumer", 2)]
    prepared = wanted_by(before, prepared={"orders-1-consumer": 2})
    assert prepared == [*wanted_by(before), *next_shards]
    at = slots(*(at_work(one) for one in wanted_by(before)))
    assert plan(prepared, at, now=0.0) == [Start(one) for one in next_shards]

    at |= slots(*(on_standby(one) for one in next_shards))
    workflow = structs.replace(before.workflows[0], draining=("orders-1-consumer",))
    draining = structs.replace(before, version=2, workflows=(workflow,))
    while_draining = wanted_by(draining, known_for=0.0, prepared={"orders-1-consumer": 2})
    assert plan(while_draining, at, now=0.0) == [Drain("orders-1-consumer-1-of-1")]
    assert plan(wanted_by(after, prepared={"orders-1-consumer": 2}), at, now=0.0) == [
        Drain("orders-1-consumer-1-of-1")
    ]


def test_a_prepared_count_adds_nothing_where_it_is_set_or_its_group_is_not_deployed() -> None:
    deployment = _deployment({"CREATED": 1}, shards=2)
    assert wanted_by(
        deployment, prepared={"orders-1-consumer": 2, "orders-9-consumer": 3}
    ) == wanted_by(deployment)


def test_actors_on_standby_that_are_wanted_no_longer_are_drained() -> None:
    deployment = _deployment({"CREATED": 1}, shards=1)
    at = slots(*(at_work(one) for one in wanted_by(deployment)), on_standby(shard(1, 2)))
    assert plan(wanted_by(deployment), at, now=0.0) == [Drain("orders-1-consumer-1-of-2")]


def _deployment(statuses: dict[str, int], shards: int) -> Deployment:
    groups = {"orders-1-consumer": shards, "orders-2-consumer": 1, "outbox-publisher": 1}
    workflow = DeployedWorkflow(
        name="orders", reference="shop:orders", statuses=statuses, partitions=16, groups=groups
    )
    return Deployment(store_id="s", version=1, workflows=(workflow,))
