"""One run as somebody published it, whatever the format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from kd_hpc.catalogue import PURE
from kd_hpc.errors import KdError
from kd_hpc.variant import format_alpha


class NotUnderstood(KdError):
    """A file that holds no result of the kind its name says."""


@dataclass(frozen=True)
class Result:
    """Accuracies in percent. `alpha` is None where the format has none, `seed` where nobody states it; `acc_best` is
    the best on the test set, and None where epochs were chosen otherwise. `settings` are quoted, not interpreted."""

    source: Path
    dataset: str
    method: str
    alpha: float | None
    teacher: str | None
    student: str
    seed: int | None
    epochs: int
    acc_last: float
    acc_best: float | None
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def cell(self) -> PurePosixPath:
        """The folder of its seeds."""
        if self.method == PURE:
            return PurePosixPath(self.dataset, PURE, self.student)
        pair = f"{self.teacher}_to_{self.student}"
        levels = () if self.alpha is None else (f"alpha_{format_alpha(self.alpha)}",)
        return PurePosixPath(self.dataset, self.method, *levels, pair)
