"""Where records, events and timeouts are: given by the caller, else by the environment."""

import os
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from workflow_ray.definition.arguments import checked_text
from workflow_ray.errors import InvalidInput
from workflow_ray.ports import RecordsAdapter, adapter_for, path_in_url, scheme_of

RECORDS, EVENTS, TIMEOUTS = "WORKFLOW_RAY_RECORDS", "WORKFLOW_RAY_EVENTS", "WORKFLOW_RAY_TIMEOUTS"
Place: TypeAlias = str | os.PathLike[str]
"""A URL, or the path of a SQLite file."""
DEFAULT_RECORDS = "sqlite:///workflow.db"


class Places(msgspec.Struct, frozen=True):
    """Where everything is, as `Adapter.canonical` spells it: without secrets, to show and to
    compare.
    """

    records: str
    events: str
    timeouts: str

    def __str__(self) -> str:
        others = {"events": self.events, "timeouts": self.timeouts}
        return ", ".join(
            [
                self.records,
                *(f"{what} on {place}" for what, place in others.items() if place != self.records),
            ]
        )


@dataclass(frozen=True)
class Urls:
    """The URLs that everything is opened with. Not shown, because they may contain passwords."""

    records: str = field(repr=False)
    events: str = field(repr=False)
    timeouts: str = field(repr=False)

    @classmethod
    def of(
        cls, records: Place | None = None, events: str | None = None, timeouts: str | None = None
    ) -> "Urls":
        """Take the URLs given, else those of WORKFLOW_RAY_RECORDS, _EVENTS and _TIMEOUTS.

        The default for the records is workflow.db in the current folder; the default for events and
        timeouts is where the records are. Raises InvalidInput.
        """
        records = records_url(records)
        return cls(
            records,
            _url("events", events) or _of_environment(EVENTS) or records,
            _url("timeouts", timeouts) or _of_environment(TIMEOUTS) or records,
        )

    @property
    def places(self) -> Places:
        """Where everything is, without secrets. Raises what `adapter_for` does."""
        return Places(place_of(self.records), place_of(self.events), place_of(self.timeouts))

    def checked_for_several(self) -> "Urls":
        """Return the same URLs. Raises InvalidInput: one of them is in memory, which other
        processes don't see.
        """
        for url in (self.records, self.events, self.timeouts):
            if scheme_of(url) == "memory":
                raise InvalidInput(
                    url,
                    "is kept by one process, and several would use it; use a server, or"
                    " sqlite:///FILE and Runtime.local",
                )
        return self

    def absolute(self) -> "Urls":
        """Return the URLs as processes with another working folder use them."""
        return Urls(_absolute(self.records), _absolute(self.events), _absolute(self.timeouts))


def records_url(given: Place | None) -> str:
    """Return the URL given, or that of the SQLite file given as a path; else the one of
    WORKFLOW_RAY_RECORDS, else workflow.db in the current folder. Raises InvalidInput.
    """
    if isinstance(given, os.PathLike):
        return f"sqlite:///{path_in_url(os.fspath(given))}"
    if given is not None and not isinstance(given, str):  # pyright: ignore[reportUnnecessaryIsInstance]  # of a caller without types
        raise InvalidInput(
            "records", f"give a URL, or the path of a SQLite file, not {type(given).__name__}"
        )
    return _url("records", given) or _of_environment(RECORDS) or DEFAULT_RECORDS


def checked_url(what: str, given: object) -> str:
    """Return a URL that was given. Raises InvalidInput."""
    url = _url(what, checked_text(what, given))
    assert url is not None, "it was given"
    return url


def _url(what: str, given: str | None) -> str | None:
    """Check a URL. An empty one must not mean the default, which is another store."""
    if given is not None and not checked_text(what, given):
        raise InvalidInput(what, "it is empty; give a URL, or leave it out for the default")
    if given is not None and ":" not in given:
        raise InvalidInput(
            what,
            "it has no scheme; give a URL, e.g. postgresql://host/database, or sqlite:///shop.db"
            " for a file (in a program also pathlib.Path)",
        )
    return given


def _of_environment(variable: str) -> str | None:
    """Return the URL that an environment variable holds. None: it is empty or not set."""
    return _url(variable, os.environ.get(variable) or None)


def place_of(url: str) -> str:
    """Return the name of the place, without secrets: see `Adapter.canonical`."""
    return adapter_for(url).canonical(url)


def _absolute(url: str) -> str:
    adapter = adapter_for(url)
    embedded = isinstance(adapter, RecordsAdapter) and not adapter.shared
    # The URL of a server has no folder, but may need its password.
    return adapter.canonical(url) if embedded else url
