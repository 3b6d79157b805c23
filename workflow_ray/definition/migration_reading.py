"""The reading of a workflow's migrations, which must lead from version 1 to that of the code."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from workflow_ray.definition.arguments import is_count, shown
from workflow_ray.definition.callables import is_async, kind_mistake
from workflow_ray.definition.declarations import MigrationDeclaration
from workflow_ray.definition.migrations import Migration
from workflow_ray.definition.signature import Parameters

MOST_LISTED = 5
"""The most versions without a migration that a mistake lists."""


class MigrationReader:
    """Reads the migrations of one workflow.

    Args:
        declared: The migrations, in order.
        data_version: The version of the workflow's data, as it was given.
        where: file:line of the workflow.
    """

    def __init__(
        self, declared: Iterable[MigrationDeclaration], data_version: object, where: str
    ) -> None:
        self._declared = tuple(declared)
        self._current = data_version
        self._where = where

    @property
    def migrations(self) -> Mapping[int, Migration]:
        """The migrations, by the version that they take."""
        return {
            each.version: Migration(
                version=each.version,
                function=each.function,
                name=each.name,
                where=each.where,
            )
            for each in reversed(self._declared)
        }

    def mistakes(self) -> Iterator[str]:
        """All mistakes, each with its place."""
        for each in self._declared:
            yield from (f"{each.place} {mistake}" for mistake in self._mistakes_of(each))
        if not is_count(self._current):
            yield (
                f"{self._where}: data_version={shown(self._current)} is not a whole number from 1"
                " up; the first version is 1"
            )
            return
        known = {each.version for each in self._declared}
        absent = (each for each in range(1, self._current) if each not in known)
        missing = [str(each) for each in islice(absent, MOST_LISTED + 1)]
        if missing:
            listed = ", ".join(missing[:MOST_LISTED])
            more = " and others" if len(missing) > MOST_LISTED else ""
            of = "version" if len(missing) == 1 else "versions"
            yield (
                f"{self._where}: data_version={self._current} has no migration from {of}"
                f" {listed}{more}, so that older data can't be read; add one with"
                f" `.migrate({missing[0]})`"
            )

    def _mistakes_of(self, declared: MigrationDeclaration) -> Iterator[str]:
        version: Any = declared.version
        if callable(version):
            yield "is declared without the version that it takes; write `.migrate(1)`, for example"
        elif not is_count(version):
            yield f"can't take version {shown(version)}: versions are whole numbers from 1 up"
        elif is_count(self._current) and version >= self._current:
            yield (
                f"takes version {version}, and the data is of version {self._current}; set"
                f" data_version={version + 1} in the workflow, or take the migration out"
            )
        if kind := kind_mistake(declared.function):
            yield kind
        elif is_async(declared.function):
            yield (
                "is async; make it a plain function: it is called wherever data is read, and can't"
                " wait for others"
            )
        else:
            parameters = Parameters(declared.function, declared.leading)
            yield from parameters.mistakes
            if parameters.resources:
                listed = " and ".join(parameters.resources)
                yield f"takes the resource {listed}, which a migration can't have; take it out"
