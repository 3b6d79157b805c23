"""Positions: how far each group has come, by partition."""

from collections.abc import Iterable

from msgspec.structs import replace

from workflow_ray.records import Fence, Position


class Positions:
    """One row per group and partition."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[int, Position]] = {}

    def merge(self, positions: Iterable[Position]) -> None:
        for position in positions:
            rows = self._groups.setdefault(position.group, {})
            before = rows.get(position.partition)
            rows[position.partition] = _merge(before, position) if before else position

    def release(self, fence: Fence) -> None:
        """Clear `in_use` where it is this fence."""
        for rows in self._groups.values():
            for position in [position for position in rows.values() if position.in_use == fence]:
                rows[position.partition] = replace(position, in_use=None)

    def of(self, group: str) -> list[Position]:
        return [position for _, position in sorted(self._groups.get(group, {}).items())]


def _merge(before: Position, written: Position) -> Position:
    if written.log != before.log or written.incarnation > before.incarnation:
        return written
    if written.incarnation < before.incarnation:
        return before
    return replace(
        written, offset=max(before.offset, written.offset), begun=max(before.begun, written.begun)
    )
