"""What commits change, for those who wait for it: told inside the process, and to other processes where the database can."""

from collections.abc import Iterable

import msgspec

from workflow_ray.records import RunId, Topic, Version

AT_ONCE = 0
"""The due time of what may be published right away."""


class News(msgspec.Struct, omit_defaults=True):
    """Hints: nothing but whether to look hangs on them."""

    runs: dict[RunId, Version] = {}  # their new versions
    at_rest: set[RunId] = set()  # of these the ones that now take no step by themselves
    topics: set[Topic] = set()  # have new events
    due: set[int] = set()  # microseconds: when new entries of the outbox get due, AT_ONCE among them
    timeouts: set[int] = set()  # microseconds: when new timeouts get due
    roles: bool = False  # some role has another holder

    def __bool__(self) -> bool:
        return bool(self.runs or self.topics or self.due or self.timeouts or self.roles)


def merged(several: Iterable[News]) -> News:
    """All of them as one."""
    all_of_it = News()
    for news in several:
        all_of_it.runs |= news.runs
        all_of_it.at_rest |= news.at_rest
        all_of_it.topics |= news.topics
        all_of_it.due |= news.due
        all_of_it.timeouts |= news.timeouts
        all_of_it.roles |= news.roles
    return all_of_it
