"""The choice of parked runs: fair between keys, and never above a limit."""

import random
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from workflow_ray.engine.admission import Choice, choose, has_room, retry_at
from workflow_ray.engine.rates import (
    MOST_KEYS,
    WHOLE,
    Log,
    Rates,
    added,
    current,
    digest_of,
    moment,
)
from workflow_ray.records import (
    FlowLimits,
    NewSetAside,
    ParkedKey,
    ParkedRun,
    Rate,
    RunId,
    SetAside,
    SetAsideKey,
)

START = datetime(2030, 1, 1, tzinfo=UTC)
PER_KEY = 5
MOST = 7


def waiting(key: str, runs: int, admitted: int = 0) -> ParkedKey:
    parked = tuple(ParkedRun(run_id=RunId(f"{key}{at}"), priority=0) for at in range(runs))
    return ParkedKey(key=key, admitted=admitted, parked=parked)


def chosen(found: list[ParkedKey], limits: FlowLimits, *, admitted: int = 0) -> list[str]:
    return [turn.run_id for turn in choice(found, limits, admitted).turns]


def choice(found: list[ParkedKey], limits: FlowLimits, admitted: int = 0) -> Choice:
    return choose(found, admitted, limits, Rates(), now=0, most=MOST, per_key=PER_KEY)


def test_each_key_gets_one_before_any_gets_two() -> None:
    found = [waiting("a", 5), waiting("b", 1), waiting("c", 2)]
    assert chosen(found, FlowLimits()) == ["a0", "b0", "c0", "a1", "c1", "a2", "a3"]
    assert chosen(found, FlowLimits(concurrency=4), admitted=1) == ["a0", "b0", "c0"]
    assert chosen(found, FlowLimits(concurrency=4), admitted=6) == []


def test_a_key_that_has_its_slots_is_passed_over() -> None:
    limits = FlowLimits(concurrency_per_key=2)
    assert chosen([waiting("a", 5, 2), waiting("b", 3, 1), waiting("c", 2)], limits) == [
        "b0",
        "c0",
        "c1",
    ]


def test_further_runs_may_be_admitted_if_some_were_not_read() -> None:
    assert choice([waiting("a", PER_KEY)], FlowLimits()).is_cut
    assert choice([waiting("a", 4), waiting("b", 4)], FlowLimits()).is_cut
    assert not choice([waiting("a", PER_KEY)], FlowLimits(concurrency=PER_KEY)).is_cut
    assert not choice([waiting("a", PER_KEY, 1)], FlowLimits(concurrency_per_key=6)).is_cut
    assert not choice([waiting("a", 2)], FlowLimits()).is_cut


def test_the_keys_of_an_entry_are_limited() -> None:
    rates, limits = Rates(), FlowLimits(rate_per_key=Rate(count=1, seconds=60))
    names = [str(at) for at in range(200_000)]
    share = [name for name in names if int(digest_of(name), 16) % 64 == 0][: MOST_KEYS + 1]
    rates.admit("group", 1, limits, share[:MOST_KEYS], 1000)
    assert rates.room(digest_of(share[-1]), limits.rate_per_key, 2000) == 0
    assert retry_at([waiting(share[-1], 1)], limits, rates, 2000) == 61_000
    assert rates.room(digest_of(share[-1]), limits.rate_per_key, 61_000) == 1


def test_what_counts_in_the_millisecond_of_a_look_is_kept_with_further_admissions() -> None:
    rate = Rate(count=2, seconds=1)
    assert added(((1000, 1),), rate, now=2000, runs=1) == ((1000, 1), (2000, 1))
    assert added(((999, 1),), rate, now=2000, runs=1) == ((2000, 1),)


def test_many_keys_of_a_full_entry_read_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rates, limits = Rates(), FlowLimits(rate_per_key=Rate(count=1, seconds=60))
    names = [str(at) for at in range(100_000)]
    share = [name for name in names if int(digest_of(name), 16) % 64 == 0]
    rates.admit("group", 1, limits, share[:MOST_KEYS], 1000)
    read: list[Log] = []

    def noted(log: Log, rate: Rate, now: int) -> Log:
        read.append(log)
        return current(log, rate, now)

    monkeypatch.setattr("workflow_ray.engine.rates.current", noted)
    others = [waiting(name, 1) for name in share[MOST_KEYS : MOST_KEYS + 300]]
    rates.begin(2000)
    assert not any(has_room(each, limits, rates, 2000) for each in others)
    assert retry_at(others, limits, rates, 2000) == 62_000  # they were committed by this look
    assert len(read) <= 2 * MOST_KEYS


@dataclass
class World:
    """Runs of some keys that arrive, are admitted and end at random, under random limits."""

    chance: random.Random
    limits: FlowLimits
    now: datetime = START
    rates: Rates = field(default_factory=Rates)
    parked: dict[str, deque[RunId]] = field(default_factory=dict[str, deque[RunId]])
    running: Counter[str] = field(default_factory=Counter[str])
    admitted: list[tuple[datetime, str]] = field(default_factory=list[tuple[datetime, str]])
    stored: dict[SetAsideKey, SetAside] = field(default_factory=dict[SetAsideKey, SetAside])
    after: str | None = None
    arrived: int = 0

    def step(self) -> None:
        for _ in range(self.chance.randint(0, 6)):
            self.arrived += 1
            key = self.chance.choice("aaaaabbc")
            self.parked.setdefault(key, deque()).append(RunId(f"{key}{self.arrived}"))
        for key in [key for key in self.running.elements() if self.chance.random() < 0.3]:
            self.running[key] -= 1
        self.now += timedelta(milliseconds=self.chance.choice([1, 50, 700]))
        if self.chance.random() < 0.1:  # another role takes over
            self.rates = Rates(self.stored.values())
        self.look()

    def look(self) -> None:
        now = moment(self.now.timestamp())
        self.rates.begin(now)
        found = self.found()
        turns = choose(
            [each for each in found if has_room(each, self.limits, self.rates, now)],
            self.running.total(),
            self.limits,
            self.rates,
            now=now,
            most=MOST,
            per_key=PER_KEY,
        ).turns
        entries = self.rates.admit("group", 1, self.limits, [turn.key for turn in turns], now)
        late = [turn for turn in turns if self.chance.random() < 0.1]
        self.now += timedelta(milliseconds=self.chance.choice([0, 3, 400]))  # until the commit
        self.store(entries)
        for turn in turns:
            if turn not in late:
                assert self.parked[turn.key].popleft() == turn.run_id or late
                self.running[turn.key] += 1
                self.admitted.append((self.now, turn.key))
                self.after = turn.key
        if self.chance.random() < 0.9:
            self.rates.take_back(self.limits, [turn.key for turn in late], now)
        else:  # it died before it knew the answer
            self.rates = Rates(self.stored.values())

    def found(self) -> list[ParkedKey]:
        keys = sorted(key for key, runs in self.parked.items() if runs)
        keys = [key for key in keys if self.after is None or key > self.after] + [
            key for key in keys if self.after is not None and key <= self.after
        ]
        return [
            ParkedKey(
                key=key,
                admitted=self.running[key],
                parked=tuple(
                    ParkedRun(run_id=run_id, priority=0)
                    for run_id in list(self.parked[key])[:PER_KEY]
                ),
            )
            for key in keys
        ]

    def store(self, entries: list[NewSetAside]) -> None:
        for entry in entries:
            self.stored[entry.key] = SetAside(
                key=entry.key,
                event_id=entry.event_id,
                event=entry.event,
                attempt=0,
                set_aside_at=self.now,
                changed_at=self.now,
            )

    def check(self) -> None:
        limits = self.limits
        assert limits.concurrency is None or self.running.total() <= limits.concurrency
        most = limits.concurrency_per_key
        assert most is None or max(self.running.values(), default=0) <= most
        self.check_rate(limits.rate, self.admitted)
        for key in "abc":
            of_key = [each for each in self.admitted if each[1] == key]
            self.check_rate(limits.rate_per_key, of_key)

    @staticmethod
    def check_rate(rate: Rate | None, admitted: list[tuple[datetime, str]]) -> None:
        if rate is None:
            return
        times = [at for at, _ in admitted]
        for at, later in zip(times, times[rate.count :], strict=False):
            assert later - at >= timedelta(seconds=rate.seconds), (at, later)


def some(chance: random.Random) -> FlowLimits:
    return FlowLimits(
        concurrency=chance.choice([None, 1, 3, 6]),
        concurrency_per_key=chance.choice([None, 1, 2]),
        rate=chance.choice([None, Rate(count=3, seconds=2), Rate(count=40, seconds=9)]),
        rate_per_key=chance.choice([None, Rate(count=1, seconds=0.5), Rate(count=9, seconds=4)]),
    )


@pytest.mark.parametrize("seed", range(25))
def test_no_limit_is_ever_exceeded_and_no_key_starves(seed: int) -> None:
    chance = random.Random(seed)  # the seed is in the name of the test
    world = World(chance, some(chance))
    for _ in range(100):
        world.step()
        world.check()
    for _ in range(20_000):
        if not any(world.parked.values()):
            break
        world.now += timedelta(milliseconds=200)
        world.running.clear()
        world.look()
        world.check()
    assert not any(world.parked.values()), world.limits


def test_a_small_key_ends_early_beside_a_large_one() -> None:
    chance = random.Random(1)
    world = World(chance, FlowLimits(concurrency=10))
    world.parked = {
        "a": deque(RunId(f"a{at}") for at in range(1_000)),
        "b": deque(RunId(f"b{at}") for at in range(10)),
    }
    while any(world.parked.values()):
        if world.running:
            world.running[next(world.running.elements())] -= 1
        world.look()
    places = [at for at, (_, key) in enumerate(world.admitted) if key == "b"]
    assert max(places) < 40


def test_a_rate_is_used_up_almost_wholly() -> None:
    limits, rates = FlowLimits(rate=Rate(count=100, seconds=10)), Rates()
    admitted = 0
    for now in range(0, 100_000, 10):
        rates.begin(now)
        room = int(rates.room(WHOLE, limits.rate, now))
        rates.admit("group", 1, limits, [""] * room, now)
        admitted += room
    assert admitted >= 950


def test_a_rate_is_used_up_almost_wholly_by_looks_that_each_admit_a_run() -> None:
    limits, rates = FlowLimits(rate=Rate(count=1_000, seconds=60)), Rates()
    admitted: list[int] = []
    for now in range(0, 600_000, 50):
        rates.begin(now)
        if rates.room(WHOLE, limits.rate, now):
            rates.admit("group", 1, limits, [""], now)
            admitted.append(now)
    assert len(admitted) >= 9_500
    assert all(later - at >= 60_000 for at, later in zip(admitted, admitted[1_000:], strict=False))
