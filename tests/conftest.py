"""What all test suites share: the option --long also runs what takes minutes; Ctrl-C reaches what a test starts."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from tests import warm

# Hundreds of programs are started: each would compile our three packages anew where nothing may keep what was compiled.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


# the same examples each time, however long one takes on a loaded machine
settings.register_profile("the same everywhere", deadline=None, derandomize=True)
settings.load_profile("the same everywhere")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run the tests that take minutes (marker: long)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes minutes; runs with --long only")
    # what a script puts into the background ignores SIGINT, and so would every program started from there
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        keep_no_numbers_of_earlier_sessions(config)


def keep_no_numbers_of_earlier_sessions(config: pytest.Config) -> None:
    """A report computes what no report of this session has: all workers inherit its folder for such numbers."""
    usual = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    os.environ.setdefault("MPLCONFIGDIR", str(Path(usual, "matplotlib")))  # its list of fonts is the same every day
    folder = TemporaryDirectory(prefix="kd-test-cache-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    os.environ["XDG_CACHE_HOME"] = folder.name


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whole campaigns and whole pages first: the suite then ends on short tests, with both workers at work."""
    items.sort(key=lambda item: item.path.parent != Path(__file__).parent)
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="takes minutes: run with --long"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what all workers of this session share, and no other session."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if base.name.startswith("popen-") else base


@pytest.fixture(scope="session")
def warm_kd_hpc(shared: Path) -> Iterator[Path]:
    """kd-hpc without its loading, see tests/warm.py."""
    with warm.programs(shared, "kd-hpc") as folder:
        yield folder / "kd-hpc"


@pytest.fixture(scope="session")
def warm_programs(shared: Path) -> Iterator[Path]:
    """A folder for the PATH with all three programs without their loading, see tests/warm.py."""
    with warm.programs(shared, "kd-hpc", "kd-core", "kd-analysis") as folder:
        yield folder
