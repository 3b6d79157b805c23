"""Positions: how one that is written changes the stored one."""

from msgspec.structs import replace

from workflow_ray.records import Position


def merged(before: Position | None, written: Position) -> Position:
    if before is None or written.log != before.log or written.incarnation > before.incarnation:
        return written
    if written.incarnation < before.incarnation:
        return before
    return replace(
        written, offset=max(before.offset, written.offset), begun=max(before.begun, written.begun)
    )
