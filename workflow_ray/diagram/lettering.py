"""How wide text is, and how it is wrapped.

The reader's machine chooses the font, so widths are upper bounds: those of DejaVu Sans, one of the
widest sans-serif fonts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from unicodedata import combining, east_asian_width

# percent of the font size
_REGULAR = {
    30: "'IJijl",
    35: " ,./:;\\|·",
    40: "!()-[]ft",
    45: "r",
    50: '"*_`',
    55: "?csz",
    60: "FLkvxy",
    65: "$0123456789EPSTYabdeghnopqu{}",
    70: "ABCKRVXZ",
    75: "NU",
    80: "&DGHOQ",
    85: "#+<=>^w~",
    90: "M",
    95: "%",
    100: "@Wm…",
}
_BOLD = {
    35: " 'ijl",
    40: ",./:;IJ\\|·",
    45: "-f",
    50: "!()[]_`rt",
    55: '"*',
    60: "?csz",
    65: "Lx",
    70: "$0123456789EFTaekovy",
    75: "CPSYZbdghnpqu{}",
    80: "ABKRVX",
    85: "#+<=>DGHNOQU^~",
    90: "&",
    95: "w",
    100: "@M…",
    105: "%m",
    115: "W",
}
OTHER = 1.1
"""Of the font size: wide letters of other alphabets, and those that take two columns."""
ELLIPSIS = "…"


def _table(widths: Mapping[int, str]) -> dict[str, float]:
    return {letter: width / 100 for width, letters in widths.items() for letter in letters}


_TABLES = {False: _table(_REGULAR), True: _table(_BOLD)}
_PIECES = re.compile(r".+?(?:[_. -]+|(?<=[a-z0-9])(?=[A-Z])|$)")
"""Words, each with what separates it from the next: of snake_case, camelCase and prose."""


@dataclass(frozen=True, slots=True)
class Font:
    """A size in pixels, and whether it is bold."""

    size: float
    bold: bool = False

    @property
    def line(self) -> float:
        """The height of a line."""
        return round(self.size * 1.35, 1)

    def width(self, text: str) -> float:
        """The most pixels that the text takes."""
        table = _TABLES[self.bold]
        return self.size * sum(table.get(each) or _unlisted(each) for each in text)

    def wrap(self, text: str, widest: float, lines: int) -> list[str]:
        """Wrap text between its words, and shorten it if it takes too many lines.

        Args:
            text: Its own line breaks are ignored. A word wider than a line is broken anywhere.
            widest: The pixels that a line may take.
            lines: The most lines.
        """
        wrapped = [""]
        for piece in self._pieces(text, widest):
            if wrapped[-1] and self.width((wrapped[-1] + piece).rstrip()) > widest:
                wrapped.append("")
            wrapped[-1] += piece
        wrapped = [line.strip() for line in wrapped]
        if len(wrapped) <= lines:
            return wrapped
        return [*wrapped[: lines - 1], self._shortened(wrapped[lines - 1], widest)]

    def _pieces(self, text: str, widest: float) -> list[str]:
        pieces: list[str] = []
        for piece in _PIECES.findall(" ".join(text.split())):
            fits = self.width(piece.rstrip()) <= widest
            pieces += [piece] if fits else list(piece)
        return pieces

    def _shortened(self, line: str, widest: float) -> str:
        while line and self.width(line + ELLIPSIS) > widest:
            line = line[:-1]
        return line.rstrip("_. -") + ELLIPSIS


def _unlisted(letter: str) -> float:
    if combining(letter):
        return 0.0
    if letter.isascii() or east_asian_width(letter) in "WF":
        return OTHER
    return OTHER if not letter.isalpha() or ord(letter) >= 0x370 else 0.85
