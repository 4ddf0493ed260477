"""What the kd-hpc tests share: a fake PBS site, and the answers a real one gave."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd_hpc.schedulers import shell
from tests.hpc.fakepbs.site import FakePbs
from tests.hpc.support import HANGS


@pytest.fixture(scope="session", autouse=True)
def _kd_hpc_is_loaded(warm_kd_hpc: Path) -> None:
    """What support.kd_hpc starts."""


@pytest.fixture
def fakepbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePbs]:
    """A PBS server of its own, its commands first on the PATH; everything it runs ends with the test."""
    site = FakePbs(tmp_path / "pbs")
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(shell, "_wait", lambda process, timeout: until_ended(site, process, timeout))
    yield site
    site.stop()


def until_ended(site: FakePbs, process: subprocess.Popen[bytes], timeout: float) -> int:
    """Wait for a command of the site: as long as it takes, but not for one that hangs. So no time-out is real here."""
    deadline = time.monotonic() + HANGS
    while (status := process.poll()) is None:
        if site.hangs(process.pid):
            raise subprocess.TimeoutExpired(process.args, timeout)
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return status
