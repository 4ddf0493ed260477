"""One thread a test process, since several run side by side; and `oracles.py` beside the tests can be imported."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from kd_hpc.errors import Damaged, KdError
from tests.shared import once

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def every_error_says_what_happened_and_what_to_type_next(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of those that kd_core makes in the test's own process; what is Damaged is told on by somebody with a remedy."""
    made, make = list[tuple[KdError, object, object]](), KdError.__init__

    def noted(self: KdError, what: str, *, remedy: str = "") -> None:
        if sys._getframe(1).f_globals["__name__"].startswith("kd_core"):
            made.append((self, what, remedy))
        make(self, what, remedy=remedy)

    monkeypatch.setattr(KdError, "__init__", noted)
    yield
    for error, what, remedy in made:
        assert what, error
        assert isinstance(what, str), error
        assert isinstance(remedy, str), error
        assert remedy or isinstance(error, Damaged), error


@pytest.fixture(scope="session")
def teacher(shared: Path) -> Path:
    """A folder with a finished teacher (ResNetBaby, few Digits, seed 0) in experiments/, and data/; to be copied."""
    return once(shared / "teacher", train_teacher)


def train_teacher(root: Path) -> None:
    from tests.core.processes import run
    from tests.core.runs import arguments, few_digits

    root.mkdir()
    few_digits(root / "data")
    code, output = run(arguments(root, "pure", epochs=2), root / "log")
    assert code == 0, output
