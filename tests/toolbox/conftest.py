"""What the tests of toolbox/ share: a cluster behind a real sshd on loopback, and a laptop that reaches it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toolbox.chpcsite import Cluster, Crontab, Laptop, missing_programs


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    if missing := missing_programs("sshd", "ssh", "ssh-keygen", "rsync", "flock", "timeout"):
        pytest.skip(f"not installed here: {', '.join(missing)} (Debian: openssh-server openssh-client rsync)")
    site = Cluster(tmp_path / "cluster")
    site.start()
    yield site
    site.stop()


@pytest.fixture
def laptop(tmp_path: Path, cluster: Cluster, warm_kd_hpc: Path) -> Iterator[Laptop]:
    machine = Laptop(tmp_path / "laptop", cluster, warm_kd_hpc)
    yield machine
    machine.end()


@pytest.fixture
def crontab(tmp_path: Path) -> Iterator[Crontab]:
    if missing := missing_programs("crontab", "flock"):
        pytest.skip(f"not installed here: {', '.join(missing)} (Debian: cron)")
    with Crontab.borrowed(tmp_path) as table:
        yield table
