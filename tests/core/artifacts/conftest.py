"""A store for what one run leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd_hpc.store import Store
from tests.core.runs import RUN


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "experiments")
    store.directory(RUN).mkdir(parents=True)
    return store
