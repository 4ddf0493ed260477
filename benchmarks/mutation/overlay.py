"""The package once more in another folder, with some of its files changed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path


def overlay(package: Path, place: Path, changed: Mapping[Path, str]) -> None:
    """`package` below `place`/src: hard links (to compiled files, too) but for the files `changed`, with their text."""
    target = place / "src" / package.name
    shutil.copytree(package, target, copy_function=os.link)
    for file, text in changed.items():
        (target / file).unlink()
        (target / file).write_text(text)
