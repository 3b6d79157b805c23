"""Retention: which runs of a page are old enough, and when to look again. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from workflow_ray.definition import Retention
from workflow_ray.definition.durations import seconds_of
from workflow_ray.records import Record, Removal, RunId, RunState

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FINISHED = tuple(state for state in RunState if state.finished)
DAY, MINUTE = 86_400.0, 60.0


@dataclass(frozen=True, slots=True)
class Rule:
    """Removes runs in some run states, or their history, after an age."""

    name: str  # the field of Retention
    run_states: tuple[RunState, ...]
    age: float  # seconds
    is_whole: bool  # whether the runs are removed, and not only their history

    def before(self, now: datetime) -> datetime:
        """Return the time before which a run's last version must have been written."""
        return max(EPOCH, now - timedelta(seconds=self.age))

    @property
    def every(self) -> float:
        """The least seconds between two looks, so that a look finds many runs at once."""
        return min(max(self.age / 100, 1.0), 10 * MINUTE)

    @property
    def sweeps(self) -> float:
        """The seconds between two looks that begin at the oldest run. They find the runs that have
        ended long after their creation; the looks between go on where the last one ended.
        """
        return min(max(self.age / 10, MINUTE), DAY)

    def removal(self, workflow: str, runs: Sequence[RunId]) -> Removal:
        if self.is_whole:
            return Removal(workflow=workflow, runs=tuple(runs))
        return Removal(workflow=workflow, histories=tuple(runs))


def removed_text(number: int, name: str) -> str:
    """Return how much was removed, such as "1,200 completed runs".

    Args:
        number: Of runs, histories or keys.
        name: The field of Retention.
    """
    what = {"history": "histories", "keys": "keys"}.get(name, f"{name} runs")
    return f"{number:,} {what}"


def rules_of(retention: Retention) -> tuple[Rule, ...]:
    """Return the rules of a workflow, without that for keys."""
    rules = [
        Rule(state.name.lower(), (state,), age, is_whole=True)
        for state, age in retention.ages().items()
    ]
    if retention.history is not None:
        age = seconds_of("history", retention.history)
        rules.append(Rule("history", FINISHED, age, is_whole=False))
    return tuple(rules)


@dataclass(frozen=True, slots=True)
class Decided:
    """What a rule makes of a page of runs, by age."""

    old: tuple[RunId, ...]  # those that it removes, or whose history it removes
    after: RunId | None  # where the next page begins; None: the runs after it are too young
    reached: RunId | None  # the last run that is old by its creation; None: none of the page is
    next_at: datetime | None  # when the first of the younger ones may be old enough; None: unknown


def decide_page(
    rule: Rule,
    page: Sequence[Record],
    now: datetime,
    since: datetime,
    seen: RunId = RunId(""),
) -> Decided:
    """Decide what a rule does with a page of runs in its run states, by run id.

    Args:
        rule: The rule.
        page: The page. Run ids sort by time of creation.
        now: By the store's clock.
        since: Runs whose last version is older than this were done by an earlier look, if the rule
            keeps the runs.
        seen: The last run that this look has met. It ended at a young run, and clients' clocks may
            differ, so runs after it may be old.
    """
    before = rule.before(now)
    created = [record for record in page if record.created_at < before]
    old = tuple(record.run_id for record in created if _is_old(rule, record, before, since, seen))
    young = next((record for record in page if record.created_at >= before), None)
    reached = created[-1].run_id if created else None
    if young is not None:
        due = young.created_at + timedelta(seconds=rule.age)
        return Decided(old, None, reached, due)
    return Decided(old, page[-1].run_id if page else None, reached, None)


def _is_old(rule: Rule, record: Record, before: datetime, since: datetime, seen: RunId) -> bool:
    if record.updated_at >= before:
        return False
    is_done = record.updated_at < since and record.run_id <= seen
    return rule.is_whole or (record.version > 1 and not is_done)
