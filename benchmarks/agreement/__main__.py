"""How far do our losses equal what others compute? Values and gradients in float64, on random outputs of two networks.

    python -m benchmarks.agreement [--code FOLDER] [--write docs/agreement.md]

torchdistill comes from the package index into a temporary folder. FOLDER may hold checkouts of the others, under the
names of their repositories: RepDistiller, mdistiller, attention-transfer, RKD, Factor-Transfer-pytorch; what is not
there is not compared. Nothing of theirs is in this repository: their functions are called where they lie.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.agreement.comparisons import CHECKOUTS, TORCHDISTILL, B, Comparison, K, Loss, of_torchdistill
from benchmarks.agreement.loading import commit, install
from kd_core.networks.base import Outputs

DRAWS = 3


@contextmanager
def in_double() -> Iterator[None]:
    """Our losses compute in float32 whatever comes in; here in float64, so that rounding hides no difference."""
    single = Tensor.float
    Tensor.float = Tensor.double  # type: ignore[method-assign]
    try:
        yield
    finally:
        Tensor.float = single  # type: ignore[method-assign]


def drawn(seed: int) -> tuple[Outputs, Outputs, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def outputs() -> Outputs:
        shapes = ((B, 16, 32, 32), (B, 32, 16, 16), (B, 64, 8, 8))
        maps = [torch.randn(shape, generator=generator, dtype=torch.float64).relu() for shape in shapes]
        return Outputs(maps[0], maps[1], maps[2], 3 * torch.randn(B, K, generator=generator, dtype=torch.float64))

    return outputs(), outputs(), torch.randint(K, (B,), generator=generator)


def difference(comparison: Comparison) -> tuple[float, float]:
    """The largest relative differences of values and of gradients on the student over all draws."""
    values, gradients = [], []
    for seed in range(DRAWS):
        student, teacher, labels = drawn(seed)
        found = [_with_gradient(loss, student, teacher, labels) for loss in (comparison.ours, comparison.theirs)]
        (ours, our_gradient), (theirs, their_gradient) = found
        values.append(abs(ours - theirs) / abs(theirs))
        gradients.append(float((our_gradient - their_gradient).norm() / their_gradient.norm()))
    return max(values), max(gradients)


def _with_gradient(loss: Loss, student: Outputs, teacher: Outputs, labels: Tensor) -> tuple[float, Tensor]:
    leaves = [tensor.clone().requires_grad_() for tensor in student]
    value = loss(Outputs(*leaves), teacher, labels)
    found = torch.autograd.grad(value, leaves, allow_unused=True)
    return float(value), torch.cat([gradient.flatten() for gradient in found if gradient is not None])


def page(rows: list[tuple[Comparison, float, float]], read: list[str], absent: list[str]) -> str:
    order = list(dict.fromkeys(row[0].method for row in rows))
    lines = [
        "# Agreement: our losses beside those of others",
        "",
        f"Values, and gradients on the student, in float64, on {DRAWS} random draws of two networks' outputs ({B}",
        "images, maps of CIFAR's size after a ReLU): the largest relative difference. 1e-14 and less is rounding.",
        f"Code: torch {torch.__version__}, {', '.join(read)}.",
        "",
        "| loss | code | ours is | value | gradient |",
        "|---|---|---|---|---|",
    ]
    for comparison, value, gradient in sorted(rows, key=lambda row: (order.index(row[0].method), row[0].code)):
        cells = (comparison.method, comparison.code, comparison.relation, f"{value:.0e}", f"{gradient:.0e}")
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Not at hand when this was made: {', '.join(absent)}."] if absent else []
    return "\n".join(lines) + CLOSING


CLOSING = """
Not compared: the authors' own NST, which is written for another framework; the connectors that stand before the hint
loss, which differ by intent ([recipe.md](recipe.md)); whole training runs.

Made by `python -m benchmarks.agreement --code FOLDER --write docs/agreement.md`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--code", type=Path, help="folder with checkouts of the others")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # theirs use what torch has since renamed
    here = {name: options.code / name for name in CHECKOUTS if options.code and (options.code / name).is_dir()}
    with tempfile.TemporaryDirectory() as folder, in_double():
        install(TORCHDISTILL, folder)
        comparisons = [*of_torchdistill()]
        for name, path in here.items():
            comparisons += CHECKOUTS[name](path)
        rows = [(comparison, *difference(comparison)) for comparison in comparisons]
    read = [TORCHDISTILL.replace("==", " "), *(f"{name} at {commit(path)}" for name, path in here.items())]
    text = page(rows, read, [name for name in CHECKOUTS if name not in here])
    print(text, end="")
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()
