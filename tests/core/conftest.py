"""One thread a test process, since several run side by side; and `oracles.py` beside the tests can be imported."""

from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished teacher (ResNetBaby, Digits, seed 0) in experiments/, and data/; to be copied."""
    from tests.core.processes import run
    from tests.core.runs import arguments

    root = tmp_path_factory.mktemp("teacher")
    code, output = run(arguments(root, "pure", epochs=2), root / "log")
    assert code == 0, output
    return root
