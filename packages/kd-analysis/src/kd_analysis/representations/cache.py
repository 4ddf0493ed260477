"""A content-addressed store of numbers: one small JSON file per subject, whose key names everything a number depends
on.

Losing an entry costs its recomputation, never its truth; two writers at once lose at most each other's new entries.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_hpc.disk.files import publish_bytes
from kd_hpc.disk.sealed import CHECKSUM, known_object, object_bytes
from kd_hpc.errors import StoreError

Entry = Mapping[str, Any]


class Cache:
    """Entries by (subject, key) under `root`; a root that cannot be written makes everything a miss, not an error."""

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self._read: dict[str, dict[str, Entry]] = {}

    def get(self, subject: str, key: str) -> Entry | None:
        """The entry, or None if it was never kept."""
        return self._subject(subject).get(key)

    def put(self, subject: str, entries: Mapping[str, Entry]) -> None:
        """Keep the entries beside those the subject has."""
        kept = self._subject(subject)
        kept.update(entries)
        if self.root is not None:
            path = self._path(subject)
            with contextlib.suppress(OSError, StoreError):
                path.parent.mkdir(parents=True, exist_ok=True)
                publish_bytes(path, object_bytes(kept))

    def _subject(self, subject: str) -> dict[str, Entry]:
        if subject not in self._read:
            self._read[subject] = _load(self._path(subject)) if self.root is not None else {}
        return self._read[subject]

    def _path(self, subject: str) -> Path:
        assert self.root is not None
        return self.root / subject[:2] / f"{subject}.json"


def default_root() -> Path:
    """Where numbers are kept unless said otherwise: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "kd-analysis"


def _load(path: Path) -> dict[str, Entry]:
    return {key: entry for key, entry in known_object(path).items() if key != CHECKSUM and isinstance(entry, dict)}
