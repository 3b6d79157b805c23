"""Checks that a group of writes can be stored by every store, before anything is written."""

import re
from collections.abc import Mapping

from workflow_ray.errors import WriteRejected
from workflow_ray.records.ids import NO_VERSION, RunId
from workflow_ray.records.limits import (
    DIGEST_SIZE,
    MAX_DATA,
    MAX_FOREIGN_ID,
    MAX_LABEL_NAME,
    MAX_LABELS,
    MAX_PRIORITY,
)
from workflow_ray.records.message import NewMessage, OnceResult
from workflow_ray.records.parking import Parking
from workflow_ray.records.set_aside import NewSetAside
from workflow_ray.records.write import NewChild, NewRun, Write, WriteGroup

UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def check_group(group: WriteGroup) -> None:
    """Check that every store can store the group. Raises WriteRejected."""
    for write in group.writes:
        check_write(write)
    for message in group.messages:
        _check_message(message)
    for result in group.results:
        _check_result(result)
    for entry in group.set_aside:
        _check_entry(entry)


def check_write(write: Write) -> None:
    """Check that every store can store the write, with its children. Raises WriteRejected."""
    data, new = write.data, write.new
    if write.expected == NO_VERSION and (new is None or data is None):
        raise WriteRejected(f"run {write.run_id} is new and has no foreign id or no data")
    if data is not None and len(data) > MAX_DATA:  # before the call, which most writes don't need
        _check_size(f"run {write.run_id}", "data", data)
    if new is not None:
        _check_new(write.run_id, new)
    if write.labels:
        _check_labels(f"run {write.run_id}", write.labels)
    if write.parking is not None:
        _check_parking(f"run {write.run_id}", write.parking)
    elif write.parked:
        raise WriteRejected(f"run {write.run_id} is parked, but flow control does not order it")
    if write.erases and write.data is None:
        raise WriteRejected(f"run {write.run_id} erases its versions, but says no data that stays")
    if write.children:
        for child in write.children:
            _check_child(f"run {write.run_id}", child)


def _check_new(run_id: RunId, new: NewRun) -> None:
    key, digest = new.idempotency_key, new.digest
    if (
        flaw_of_key(new.foreign_id) is not None
        or (key is not None and flaw_of_key(key) is not None)
        or (digest is not None and len(digest) != DIGEST_SIZE)
    ):
        # only now, because the text takes longer than the checks
        run = f"run {run_id}"
        _check_key(run, "foreign id", new.foreign_id)
        _check_key(run, "idempotency key", key)
        _check_digest(run, digest)


def _check_parking(run: str, parking: Parking) -> None:
    _check_key(run, "flow control key", parking.key)
    if abs(parking.priority) > MAX_PRIORITY:
        raise WriteRejected(
            f"{run} has the priority {parking.priority}; they go from -{MAX_PRIORITY} to"
            f" {MAX_PRIORITY}"
        )


def _check_labels(run: str, labels: Mapping[str, str]) -> None:
    if why := flaw_of_labels(labels):
        raise WriteRejected(f"{run} has labels that can't be used: {why}")


def _check_child(run: str, child: NewChild) -> None:
    write = child.write
    if not write.creates or write.children:
        raise WriteRejected(
            f"{run} starts the child {write.run_id}, which is not new or has children itself"
        )
    if write.new is not None and write.new.idempotency_key is not None:
        raise WriteRejected(f"{run} starts the child {write.run_id}, which has an idempotency key")
    check_write(write)


def _check_message(message: NewMessage) -> None:
    where = f"a message of {message.key.workflow}"
    _check_key(where, "key", message.key.id)
    where = f"message {message.key.id!r} of {message.key.workflow}"
    if (message.run_id is None) == (message.foreign_id is None):
        raise WriteRejected(f"{where} names both a run and a foreign id, or neither")
    _check_key(where, "foreign id", message.foreign_id)
    _check_key(where, "name", message.name)
    _check_size(where, "payload", message.payload)
    _check_digest(where, message.digest)


def _check_result(result: OnceResult) -> None:
    where = f"a result of once of run {result.run_id}"
    _check_key(where, "name", result.name)
    _check_size(where, "JSON", result.result)


def _check_entry(entry: NewSetAside) -> None:
    where = f"the entry at {entry.key.offset} of {entry.key.group}"
    _check_key(where, "event id", entry.event_id)
    _check_size(where, "event", entry.event)


def _check_key(where: str, name: str, key: str | None) -> None:
    if key is not None and (why := flaw_of_key(key)):
        raise WriteRejected(f"{where} has a {name} that can't be used: {why}")


def _check_size(where: str, name: str, data: bytes) -> None:
    if len(data) > MAX_DATA:
        raise WriteRejected(f"{where} has {len(data)} bytes of {name}; {MAX_DATA} are allowed")


def _check_digest(where: str, digest: bytes | None) -> None:
    if digest is not None and len(digest) != DIGEST_SIZE:
        raise WriteRejected(f"{where} has a digest of {len(digest)} bytes, not of {DIGEST_SIZE}")


def flaw_of_key(key: str) -> str | None:
    """Say why not every database can store a foreign id or another key. None: each can."""
    if len(key) > MAX_FOREIGN_ID:
        return f"it has {len(key)} characters; {MAX_FOREIGN_ID} are allowed"
    if UNSTORABLE.search(key):
        return "it holds a NUL or half a surrogate pair, which not every database can store"
    return None


def flaw_of_labels(labels: Mapping[str, str]) -> str | None:
    """Say why not every database can store and index these labels. None: each can."""
    if len(labels) > MAX_LABELS:
        return f"there are {len(labels)}; {MAX_LABELS} are allowed"
    for name, value in labels.items():
        if not name or len(name) > MAX_LABEL_NAME:
            return f"the name {name!r} is not of 1 to {MAX_LABEL_NAME} characters"
        for text in (name, value):
            if why := flaw_of_key(text):
                return f"of {name!r}, {why}"
    return None
