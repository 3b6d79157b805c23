"""The decorator of migrations."""

from functools import partial
from typing import Any, Protocol, TypeVar, cast

from workflow_ray.definition.declarations import MigrationDeclaration, named
from workflow_ray.definition.declaring import Declaring
from workflow_ray.definition.migrations import MigrationFunction
from workflow_ray.definition.source import calling_frame

F = TypeVar("F", bound=MigrationFunction)


class MigrationDecorator(Protocol):
    """Declares a migration and returns the same function."""

    def __call__(self, function: F) -> F: ...


class MigrationDecorators(Declaring):
    """Declares the functions that convert stored data of earlier versions."""

    def migrate(self, version: int) -> MigrationDecorator:
        """Declare the decorated function as the migration of data from `version` to the next one.

        The function takes the stored JSON as a dict, which it may change, and returns the dict of
        the next version. It is a plain function that depends on nothing else: it is called each
        time such data is read, in any process. The data of a run is stored in the new version with
        the run's next step; that of history entries and of finished runs stays as it is, so a
        migration stays in the code for as long as such runs are kept.

        If it raises, the run is paused with the reason, and readers get UnreadableData.

        Args:
            version: The version that it takes, from 1 up to `data_version` - 1 of the workflow.

        Raises:
            InvalidDefinition: The workflow was put to use before. Other mistakes are collected, and
                `checked` raises them.
        """
        frame = calling_frame()
        declaration = partial(MigrationDeclaration, version=version)
        if callable(version):  # `@workflow.migrate` without parentheses
            return cast(MigrationDecorator, self._declare(cast(Any, version), frame, declaration))
        made = self._decorator(f"a migration from version {named(version)}", frame, declaration)
        return cast(MigrationDecorator, made)
