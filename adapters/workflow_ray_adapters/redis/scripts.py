"""The Lua scripts. Each call of the store is one script.

They are scripts rather than functions. A script is called by the digest of its text, so two
versions of this code work side by side on one server, and leave nothing there for good. A script
that the server has forgotten is sent again.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

READS = "no-writes"
WRITES = ""  # refused before it begins if the memory is full
FREES = "allow-oom"  # also runs if the memory is full: it frees memory, or needs hardly any


@dataclass(frozen=True)
class Script:
    """A script, made of its own text and of the parts that it shares with others."""

    name: str
    flags: str
    parts: tuple[str, ...] = ()

    @cached_property
    def text(self) -> str:
        folder = Path(__file__).with_name("lua")
        parts = [
            (folder / f"{part}.lua").read_text(encoding="utf-8")
            for part in ("prelude", *self.parts, self.name)
        ]
        return "\n".join([f"#!lua flags={self.flags}", *parts])

    @cached_property
    def digest(self) -> str:
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


STORE = Script(
    "store",
    WRITES,
    (
        "outbox",
        "timeouts",
        "positions",
        "skews",
        "set_asides",
        "parking",
        "staging",
        "message",
        "inbox",
        "family",
        "labels",
        "erasing",
        "removals",
    ),
)
REMOVE = Script("store", FREES, STORE.parts)
"""Stores groups that only remove something."""
LOOKUP = Script("lookup", READS)
LATEST = Script("latest", READS)
RUNS = Script("runs", READS, ("scan", "skews", "labels"))
COUNTS = Script("counts", READS)
HISTORY = Script("history", READS)
NEWER = Script("newer", READS)
MESSAGES = Script("messages", READS, ("message",))
RESULTS = Script("results", READS)
SET_ASIDES_OF = Script("set_asides_of", READS)
PARKED = Script("parked", READS)
WAITING = Script("waiting", READS)
ACTIVITY = Script("activity", READS)
DELAYED = Script("delayed", READS)
POSITIONS_OF = Script("positions_of", READS)
NOTIFIED = Script("notified", READS)
PENDING = Script("pending", FREES, ("outbox",))
PUBLISHED = Script("published", FREES, ("outbox",))
MOVE = Script("move", WRITES, ("outbox", "stream"))
PREPARE = Script("prepare", WRITES)
SEND = Script("send", WRITES, ("stream",))
RECEIVE = Script("receive", READS, ("stream",))
HEADS = Script("heads", READS, ("stream",))
TRIM = Script("trim", FREES, ("stream",))
INDEX = Script("index", WRITES, ("message",))
DEPLOYED = Script("deployed", READS)
DEPLOY = Script("deploy", WRITES, ("roles",))
ACQUIRE = Script("acquire", FREES, ("roles",))
EPOCHS = Script("epochs", READS)
RELEASE = Script("release", FREES)
SHARING = Script("sharing", READS)
SHARE = Script("share", FREES, ("roles",))
LEAVE = Script("leave", FREES)
HOLD = Script("hold", FREES)
LET_GO = Script("let_go", FREES)
CREATE_TIMEOUTS = Script("create_timeouts", WRITES, ("timeouts",))
COMPLETE_TIMEOUTS = Script("complete_timeouts", FREES)
DUE_TIMEOUTS = Script("due_timeouts", READS)
TRIM_TIMEOUTS = Script("trim_timeouts", FREES)
