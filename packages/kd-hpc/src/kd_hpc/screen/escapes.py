"""Text from files, logs, schedulers and names, as each form of output must show it so that it does nothing there.

One function a form, and nobody else escapes. What reaches a terminal passes through `Guarded` streams, which let no
control character through but those of this program's own `control`.
"""

from __future__ import annotations

import html
import re
import secrets
import sys
from typing import Any, TextIO, cast

_HIDDEN = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""Characters that move, hide, turn or end text: all controls but newline and tab, marks of direction, surrogates."""
_MARK = f"\0{secrets.token_hex(8)}"
"""Before each control sequence of our own: drawn anew in every process, so no file can know it."""
_MARKDOWN = str.maketrans({"\\": "\\\\", "|": "\\|", "<": "&lt;", ">": "&gt;", "*": "\\*", "`": "\\`", "\n": " "})
_ENTITY = re.compile(r"&(?=#?\w+;)")
_EMPHASIS = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""An underscore within a word is none."""
_LINK = re.compile(r"\](?=[(\[:])")
_BLOCK = re.compile(r"^(\d*)(#+|[-+.)])(?=\s)")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\n": " ",
    "−": r"\ensuremath{-}",
    "∞": r"\ensuremath{\infty}",
    "±": r"\ensuremath{\pm}",
    **{special: "\\" + special for special in "&%$#_{}"},
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def visible(text: str) -> str:
    """`text` with what cannot be seen spelled as Python does; its lines stay lines."""
    return _HIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)


def printable(text: object) -> str:
    """`text` on one line, with whatever is no letter, sign or space spelled as Python does: for names and paths."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in str(text))


def markdown(text: str) -> str:
    """`text` as Markdown that shows it as it is: no emphasis, link, heading, list, entity or HTML."""
    plain = _ENTITY.sub("&amp;", visible(text)).translate(_MARKDOWN)
    plain = _EMPHASIS.sub(r"\\_", _LINK.sub(r"\\]", plain))
    return _BLOCK.sub(r"\1\\\2", plain)


def markdown_code(text: str) -> str:
    """`text` as a code span of Markdown, in a table, too."""
    name = printable(text).replace("`", "'").replace("|", "\\|")
    return f"`{name}`"


def latex(text: str) -> str:
    """`text` as LaTeX that prints it as it is."""
    return "".join(_LATEX.get(letter, letter) for letter in visible(text))


def markup(text: str) -> str:
    """`text` as HTML, within an element or an attribute's quotes."""
    return html.escape(visible(text))


def csv_cell(value: Any) -> Any:
    """A cell of a CSV file; text that a spreadsheet would compute gets an apostrophe before it. None is empty."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return "" if value is None else value


class Guarded:
    """A text stream to a terminal, or to a file that will be shown on one."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        first, *others = text.split(_MARK)
        self.stream.write(visible(first) + "".join(map(_unmarked, others)))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def control(sequence: str) -> str:
    """What to print for the terminal's control characters `sequence`, such as ESC [1m."""
    return f"{_MARK}{len(sequence):02}{sequence}" if isinstance(sys.stdout, Guarded) else sequence


def guard_streams() -> None:
    """Let what this program prints do nothing on a terminal; what cannot be encoded is spelled."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Guarded):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
            setattr(sys, name, cast(TextIO, Guarded(stream)))


def unguarded(stream: TextIO) -> TextIO:
    """`stream` for who draws on it, and prints no text of others."""
    return stream.stream if isinstance(stream, Guarded) else stream


def _unmarked(text: str) -> str:
    """What follows a mark: the length of a control sequence, the sequence, and other text."""
    length = int(text[:2])
    return text[2 : 2 + length] + visible(text[2 + length :])
