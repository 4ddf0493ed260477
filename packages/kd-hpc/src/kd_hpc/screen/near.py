"""What somebody may have meant who typed a name that does not exist."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches
from itertools import takewhile
from pathlib import Path

_ALIKE = 0.6
"""How much of two words must agree, from 0 to 1."""


def nearest(word: str, known: Iterable[str], most: int = 1) -> list[str]:
    """Those of `known` that `word` may be a slip of, the likeliest first; case does not count.

    Of names that agree equally with it, those that begin as it does come first.
    """
    small = word.casefold()
    by_small: dict[str, str] = {}
    for name in known:
        by_small.setdefault(name.casefold(), name)
    alike = get_close_matches(small, by_small, n=len(by_small) or 1, cutoff=_ALIKE)
    alike.sort(key=lambda name: (-SequenceMatcher(None, name, small).ratio(), -_same_beginning(name, small)))
    return [by_small[name] for name in alike[:most]]


def _same_beginning(left: str, right: str) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question for a message, such as "Did you mean digits?"; empty where nothing is near."""
    found = nearest(word, known)
    return f"Did you mean {found[0]}?" if found else ""


def nearest_file(path: Path, pattern: str) -> Path | None:
    """The file that was meant by `path`, which is not there: beside it, or in the folder that such files are in.

    `pattern` is the folder and the name, as "campaigns/*.toml".
    """
    folder, _, name = pattern.rpartition("/")
    files = [*sorted(path.parent.glob(name)), *sorted(Path(folder).glob(name))]
    found = nearest(path.stem, (file.stem for file in files))
    return next((file for file in files if file.stem in found), None)
