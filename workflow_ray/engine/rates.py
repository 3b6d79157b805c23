"""Rates of admissions: how many runs a rate allows now. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from math import ceil, inf

import msgspec

from workflow_ray.records import FlowLimits, NewSetAside, Rate, SetAside, SetAsideKey

CELLS = 20
"""Admissions within the same twentieth of a rate's period count as made at the last of them. So the
size of a log is bounded. A rate that is used up all the time loses a twentieth of its runs.
"""
SHARES = 64
"""The entries that hold the logs of a status's keys, so that each commit writes few of them."""
MOST_KEYS = 1_000
"""The keys of one entry. A further key waits until another one has had no admission for a period.
"""
WHOLE = ""
"""The name of the log of a whole status. The log of a key is named by the key's digest."""
LAST = 2**63
"""Later than every time."""
NO_LOG: "Log" = ()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

Log = tuple[tuple[int, int], ...]
"""Admissions in the last period: times in milliseconds since 1970, ascending, and their numbers."""


class Logs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the `event` of an entry holds, as JSON."""

    at: int = 0  # the time of the admissions that were committed with it
    logs: dict[str, Log] = {}  # by name


_read = msgspec.json.Decoder(Logs).decode


def moment(seconds: float) -> int:
    """Convert seconds since 1970 to milliseconds, rounded up."""
    return ceil(seconds * 1000)


def passed(time: datetime) -> int:
    """Return the milliseconds since 1970 that have passed, rounded down.

    What counts is asked for this time, and admissions are made at their time rounded up, so that
    rounding never makes a period shorter.
    """
    return (time - _EPOCH) // _MILLISECOND


def current(log: Log, rate: Rate, now: int) -> Log:
    """Return the admissions that still count."""
    since = now - moment(rate.seconds)
    return tuple(each for each in log if each[0] > since)


def room(log: Log, rate: Rate, now: int) -> int:
    """Return how many runs the rate allows now."""
    return max(rate.count - sum(number for _, number in current(log, rate, now)), 0)


def next_at(log: Log, rate: Rate, now: int) -> int:
    """Return when the next admission stops counting. `now`: none counts any more."""
    counting = current(log, rate, now)
    return counting[0][0] + moment(rate.seconds) if counting else now


def added(log: Log, rate: Rate, now: int, runs: int) -> Log:
    """Return the log with admissions that are made now, which is rounded up. Without those that
    count no more.
    """
    counting = current(log, rate, now - 1)
    if not runs:
        return counting
    if counting and is_one_cell(rate, counting[-1][0], now):
        return (*counting[:-1], (now, counting[-1][1] + runs))
    return (*counting, (now, runs))


def is_one_cell(rate: Rate, at: int, later: int) -> bool:
    """Whether admissions of the two times count as made at the later one."""
    cell = max(moment(rate.seconds) // CELLS, 1)
    return at // cell == later // cell


def committed_by(log: Log, rate: Rate, at: int, later: int, runs: int) -> Log:
    """Return the log with the last admissions moved to a later time: they were committed by then.

    Others that count as made at the same time stay there, unless both times are in one cell.
    Otherwise a role that admits runs at each look would move all of them, again and again.

    Args:
        log: It ends with the admissions.
        rate: The rate.
        at: Their time.
        later: The later time.
        runs: The number of the admissions.
    """
    if is_one_cell(rate, at, later):
        return made_later(log, at, later)
    before, (last, number) = log[:-1], log[-1]
    assert last == at, "nothing was added since"
    rest = (at, number - runs), (later, runs)
    return (*before, *[each for each in rest if each[1]])


def made_later(log: Log, at: int, later: int) -> Log:
    """Return the log with the admissions of a time moved to a later one: they were committed by
    then.
    """
    return tuple((later, number) if time == at else (time, number) for time, number in log)


def digest_of(key: str) -> str:
    """Return the name of a key's log, which does not show the key."""
    return blake2b(key.encode(), digest_size=8).hexdigest()


def share_of(digest: str) -> int:
    """Return the number of the entry that holds a log, from 1. That of WHOLE is 0."""
    return int(digest, 16) % SHARES + 1 if digest else 0


def entry_of(
    group: str, status: int, share: int, logs: Mapping[str, Log], *, at: int, due: int
) -> NewSetAside:
    """Make the entry that keeps logs of a status.

    Args:
        group: That of the role.
        status: The number of the status.
        share: The number of the entry.
        logs: The logs, by name.
        at: The time of the admissions that are committed with it.
        due: When a further run may be admitted.
    """
    return NewSetAside(
        key=SetAsideKey(group, 0, share, log=str(status)),
        event_id=f"the rate of status {status}",
        event=msgspec.json.encode(Logs(at=at, logs=dict(logs))),
        attempt=0,
        # An entry without a due time would be a dead letter.
        retry_in=max(due - at, 0) / 1000,
    )


def logs_in(entry: SetAside) -> dict[str, Log]:
    """Read the logs of an entry. Admissions count from the time of their commit on."""
    found, committed = _read(entry.event), moment(entry.changed_at.timestamp())
    return {name: made_later(log, found.at, committed) for name, log in found.logs.items()}


class Rates:
    """The admissions of one status that rates count, as its role knows them.

    They are stored together with the admissions, so that a role that takes over counts them too.

    Args:
        stored: The entries of the status.
    """

    def __init__(self, stored: Iterable[SetAside] = ()) -> None:
        self._shares: dict[int, dict[str, Log]] = {
            entry.key.offset: logs_in(entry) for entry in stored
        }
        # the time of the admissions that are committed now, or were last, and their numbers, by log
        self._committing: tuple[int, dict[str, tuple[Rate, int]]] = 0, {}
        # of this look, by the number of the entry: its time, and when the entry has space
        self._full: dict[int, tuple[int, int]] = {}

    def begin(self, now: int) -> None:
        """Note the time of a look. What was admitted before was committed by then."""
        at, counts = self._committing
        for name, (rate, runs) in counts.items():
            share = self._shares[share_of(name)]
            share[name] = committed_by(share[name], rate, at, max(at, now), runs)
        self._committing = 0, {}
        self._full.clear()

    def room(self, name: str, rate: Rate | None, now: int) -> float:
        """Return how many runs the rate allows now.

        Args:
            name: The log's.
            rate: The rate. None: there is none.
            now: The time of the look.
        """
        if rate is None:
            return inf
        share = self._share(name)
        if name not in share and len(share) >= MOST_KEYS and self._space_at(name, rate, now) > now:
            return 0
        return room(share.get(name, NO_LOG), rate, now)

    def next_at(self, name: str, rate: Rate, now: int) -> int:
        """Return when the rate allows a further run, if it allows none now."""
        share = self._share(name)
        if name in share:
            return next_at(share[name], rate, now)
        return self._space_at(name, rate, now)

    def _space_at(self, name: str, rate: Rate, now: int) -> int:
        """Return when the entry of a log has space for another one. It is found once for a look,
        because each of many keys asks.
        """
        number = share_of(name)
        found_at, at = self._full.get(number, (-1, 0))
        if found_at != now:
            share = self._share(name)
            self._drop(share, rate, now)
            is_full = len(share) >= MOST_KEYS
            at = min(next_at(log, rate, now) for log in share.values()) if is_full else now
            self._full[number] = now, at
        return at

    def admit(
        self, group: str, status: int, limits: FlowLimits, keys: Sequence[str], now: int
    ) -> list[NewSetAside]:
        """Count runs that are about to be admitted. Returns the entries to store with them.

        Args:
            group: That of the role.
            status: The number of the status.
            limits: Those of the status.
            keys: Those of the runs.
            now: The time of the look, rounded up.
        """
        counts: dict[str, tuple[Rate, int]] = {}
        if limits.rate is not None and keys:
            counts[WHOLE] = limits.rate, len(keys)
        if (rate := limits.rate_per_key) is not None:
            counts |= {digest_of(key): (rate, runs) for key, runs in Counter(keys).items()}
        due: dict[int, int] = {}
        for name, (rate, runs) in counts.items():
            share, number = self._share(name), share_of(name)
            share[name] = added(share.get(name, NO_LOG), rate, now, runs)
            due[number] = min(next_at(share[name], rate, now), due.get(number, LAST))
        for number in due:
            self._drop(
                self._shares[number], limits.rate_per_key if number else limits.rate, now - 1
            )
        self._committing = now, counts
        return [
            entry_of(group, status, number, self._shares[number], at=now, due=at)
            for number, at in due.items()
        ]

    def take_back(self, limits: FlowLimits, keys: Sequence[str], now: int) -> None:
        """Count runs no more that were not admitted after all. What is stored counts them until
        its next change.
        """
        for key in keys:
            if limits.rate is not None:
                self._take_back(WHOLE, now)
            if limits.rate_per_key is not None:
                self._take_back(digest_of(key), now)

    def _take_back(self, name: str, now: int) -> None:
        share, (_, counts) = self._share(name), self._committing
        share[name] = tuple((at, runs - (at == now)) for at, runs in share[name])
        rate, runs = counts[name]
        counts[name] = rate, runs - 1

    def _share(self, name: str) -> dict[str, Log]:
        return self._shares.setdefault(share_of(name), {})

    def _drop(self, share: dict[str, Log], rate: Rate | None, now: int) -> None:
        """Drop the logs that count no more."""
        if rate is None:
            return
        for name in [name for name, log in share.items() if not current(log, rate, now)]:
            del share[name]
