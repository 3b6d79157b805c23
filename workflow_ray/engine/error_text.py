"""The texts of errors that user code has raised."""

from typing import TypeGuard

from pydantic import ValidationError

SHOWN = 10
"""The errors of a group that a reason names; fatal ones come first."""


def text_of(error: BaseException) -> str:
    """Format an error as its type and its text."""
    try:
        if isinstance(error, ValidationError):
            text = f"{error.title}: {flaws(error)}"
        else:
            text = str(error)
    except BaseException as failure:  # __str__ is user code, and may raise anything
        text = f"its text can't be made, because of {type(failure).__qualname__}"
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__


def flaws(error: ValidationError) -> str:
    """Name the wrong fields, and say what is wrong with each, without the values, which may be
    personal.
    """
    return "; ".join(
        f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)
    )


def leaves_of(error: BaseException) -> list[BaseException]:
    """The errors inside of nested groups, in order.

    It does not call itself, because groups may be nested more deeply than Python allows calls.
    """
    leaves: list[BaseException] = []
    left = [error]
    while left:
        one = left.pop()
        if is_group(one):
            left += reversed(one.exceptions)
        else:
            leaves.append(one)
    return leaves


def is_group(error: BaseException) -> TypeGuard[BaseExceptionGroup[BaseException]]:
    """Whether the error is a group of errors."""
    return isinstance(error, BaseExceptionGroup)
