"""Trees to analyse: one generated with representations, the real files of round beta, and `trees.py` to import."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import paths

BETA = Path(__file__).parent / "fixtures" / "beta"
"""Twenty-three runs of round beta as they were on the cluster: curves rounded, streams shortened, users renamed."""


@pytest.fixture(scope="session")
def beta() -> Path:
    return BETA


@pytest.fixture(scope="session")
def whole_beta() -> Path:
    """All of round beta, where it lies beside the repository."""
    root = paths.BETA
    if not root.is_dir():
        pytest.skip("the whole of round beta (../shared/real/beta) is not here")
    return root


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits, two methods, three alphas, two seeds, with representations; read only."""
    from tests.analysis.trees import TreeSpec, build_tree

    return build_tree(tmp_path_factory.mktemp("synthetic"), TreeSpec(items=60))


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all reports of this session, so that each number and figure is computed once."""
    return tmp_path_factory.getbasetemp().parent / "kd-analysis-cache"
