"""Trees to analyse, and what is made of them once for all tests of a session: one generated with representations, the
real files of round beta; `trees.py` and `reports.py` to import."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kd_analysis.report.document import Document
from tests import paths, warm
from tests.analysis.reports import document_of, write
from tests.analysis.trees import TreeSpec, build_tree
from tests.shared import once

BETA = Path(__file__).parent / "fixtures" / "beta"
"""Twenty-three runs of round beta as they were on the cluster: curves rounded, streams shortened, users renamed."""


@pytest.fixture(scope="session", autouse=True)
def _kd_analysis_is_loaded(shared: Path) -> Iterator[None]:
    """What tests start as kd-analysis, see tests/warm.py."""
    with warm.programs(shared, "kd-analysis"):
        yield


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
def shared_cache(shared: Path) -> Path:
    """One cache for all reports of this session, so that each number and figure is computed once."""
    return shared / "kd-analysis-cache"


@pytest.fixture(scope="session")
def synthetic(shared: Path) -> Path:
    """Digits, two methods, three alphas, two seeds, with representations; read only."""
    return once(shared / "synthetic", lambda root: build_tree(root, TreeSpec(items=60)))


@pytest.fixture(scope="session")
def of_beta(beta: Path, shared: Path, shared_cache: Path) -> Path:
    """The report of round beta, written once; read only."""
    return once(shared / "report-of-beta", lambda root: write(beta, root, shared_cache))


@pytest.fixture(scope="session")
def of_synthetic(synthetic: Path, shared: Path, shared_cache: Path) -> Path:
    """The report of the generated tree, written once; read only."""
    return once(shared / "report-of-synthetic", lambda root: write(synthetic, root, shared_cache))


@pytest.fixture(scope="session")
def beta_document(beta: Path, shared_cache: Path) -> Document:
    return document_of(beta, shared_cache)


@pytest.fixture(scope="session")
def synthetic_document(synthetic: Path, shared_cache: Path) -> Document:
    return document_of(synthetic, shared_cache)
