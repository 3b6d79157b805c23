"""Text from data, for a terminal or a log."""

import unicodedata


def visible(text: str) -> str:
    """Replace control characters, as in escape sequences, by what Python writes for them.

    Text of one line stays one line, and can't change what a terminal shows: `\\x1b[2J`.
    Invisible characters and those that change the direction of writing are replaced as well.
    """
    if text.isprintable():
        return text
    return "".join(
        character if _is_visible(character) else ascii(character)[1:-1] for character in text
    )


def _is_visible(character: str) -> bool:
    return character.isprintable() or unicodedata.category(character) == "Zs"
