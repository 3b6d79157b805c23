"""What steps use and a role keeps open: connections, models, clients."""

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, NoReturn, TypeVar, cast

from workflow_ray.definition.arguments import shown
from workflow_ray.errors import InvalidInput

T = TypeVar("T")


class Resource(Generic[T]):
    """Opened once in each role whose step names it, before its first run, and closed after the
    last. Made by `@resource`.
    """

    def __init__(self, function: Callable[[], AsyncIterator[T]]) -> None:
        self.name = function.__qualname__
        # `resource` made sure of it
        self._open = asynccontextmanager(cast(Callable[[], AsyncGenerator[T, None]], function))
        self._placeholder = Placeholder(self)

    @property
    def value(self) -> T:
        """The default of a step's parameter: `stock: Warehouse = warehouse.value`. A role hands in
        the open resource instead.

        Used for anything else it raises InvalidInput.
        """
        return cast(T, self._placeholder)

    def open(self) -> AbstractAsyncContextManager[T]:
        """Open it: `async with` gives the value, and closes it at the end.

        Each call opens it again.
        """
        return self._open()

    def __repr__(self) -> str:
        return f"<resource {self.name}>"


class Placeholder:
    """Stands in a step's signature for a resource that a role will open.

    Any other use of it is refused.
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
        # introspection asks for names like these, and takes only this for "no such thing"
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def __repr__(self) -> str:
        return f"{self.resource.name}.value"

    # Looked up on the class, past __getattr__.
    __call__ = __getitem__ = __iter__ = __len__ = __bool__ = __str__ = __format__ = _refuse
    __enter__ = __aenter__ = __await__ = __aiter__ = _refuse


def resource(function: Callable[[], AsyncIterator[T]]) -> Resource[T]:
    """Make a resource of an async generator function without parameters: it yields the value once,
    and cleans up after it.

    Raises InvalidInput: the function is not an async generator of one value.
    """
    if not inspect.isasyncgenfunction(function) or inspect.signature(function).parameters:
        raise InvalidInput(
            f"@resource {shown(function)}",
            "must be `async def` without parameters, with one `yield` of the open resource.",
        )
    return Resource(function)
