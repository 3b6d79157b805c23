"""The text of an error that user code has raised."""

from pydantic import ValidationError


def text_of(error: BaseException) -> str:
    """Format an error as its type and its text."""
    try:
        text = _without_input(error) if isinstance(error, ValidationError) else str(error)
    except BaseException as failure:  # __str__ is user code, and may raise anything
        text = f"its text can't be made, because of {type(failure).__qualname__}"
    return f"{type(error).__qualname__}: {text}" if text else type(error).__qualname__


def _without_input(error: ValidationError) -> str:
    """Format the error as pydantic does, but without the values, which may be personal."""
    fields = (
        f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False)
    )
    return f"{error.title}: {'; '.join(fields)}"
