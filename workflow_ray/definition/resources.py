"""Resources: what a role keeps open for its steps, such as connections, models and clients."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, NoReturn, TypeVar, cast

from workflow_ray.definition.arguments import shown
from workflow_ray.errors import InvalidInput

T = TypeVar("T")


class Resource(Generic[T]):
    """A resource of steps, made by `@resource`.

    Each role whose step names it opens it before the first run and closes it after the last.
    """

    def __init__(self, function: Callable[[], AsyncIterator[T]]) -> None:
        self.name = function.__qualname__
        # `resource` has checked that it is a generator
        self._open = asynccontextmanager(cast(Callable[[], AsyncGenerator[T, None]], function))
        self._placeholder = Placeholder(self)

    @property
    def value(self) -> T:
        """The default of a step's parameter, as in `stock: Warehouse = warehouse.value`.

        A role calls the step with the open resource instead. Any other use raises InvalidInput.
        """
        return cast(T, self._placeholder)

    def open(self) -> AbstractAsyncContextManager[T]:
        """Open the resource. `async with` gives the value, and closes the resource at the end.

        Each call opens it again.
        """
        return self._open()

    def __repr__(self) -> str:
        return f"<resource {self.name}>"


class Placeholder:
    """Marks a parameter of a step for which a role opens a resource.

    Any other use raises InvalidInput.
    """

    def __init__(self, resource: Resource[Any]) -> None:
        self.resource = resource

    def _refuse(self, *_: object) -> NoReturn:
        name = self.resource.name
        raise InvalidInput(
            f"resource {name}",
            "is open inside a role only; call the step with a value for it, or use `async with"
            " open()`.",
        )

    def __getattr__(self, name: str) -> NoReturn:
        # introspection looks for such names, and expects AttributeError
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def __repr__(self) -> str:
        return f"{self.resource.name}.value"

    # Python looks these up on the class, without __getattr__.
    __call__ = __getitem__ = __iter__ = __len__ = __bool__ = __str__ = __format__ = _refuse
    __enter__ = __aenter__ = __await__ = __aiter__ = _refuse


def resource(function: Callable[[], AsyncIterator[T]]) -> Resource[T]:
    """Make a resource of an async generator function.

    Args:
        function: Has no parameters. It opens the resource, yields it once, and closes it.

    Raises:
        InvalidInput: The function is not such a function.
    """
    if not inspect.isasyncgenfunction(function) or inspect.signature(function).parameters:
        raise InvalidInput(
            f"@resource {shown(function)}",
            "must be `async def` without parameters, with one `yield` of the open resource.",
        )
    return Resource(function)
