"""What the kd-hpc tests share: a fake PBS site, and the answers a real one gave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hpc.fakepbs.site import FakePbs


@pytest.fixture
def fakepbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePbs]:
    """A PBS server of its own, its commands first on the PATH; everything it runs ends with the test."""
    site = FakePbs(tmp_path / "pbs")
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    yield site
    site.stop()
