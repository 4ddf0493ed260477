"""What do the two dear losses cost, against the least they could cost and against the way they are usually written?

    python -m benchmarks.method_losses [--rounds 15] [--json FILE]

RKD's angles at B = 128, D = 64, forward and backward, beside two floors: `product`, one (B, B, D) tensor of
differences and one (B, B, B) tensor of their products for one network, left to autograd; and `traffic`, tensors of
the same two sizes only written and read, once forward and once backward, which leaves no time to multiply. NST on one
tap of a batch of 128, beside the broadcast form. One thread; every round runs all variants in turn, and a ratio is
the median of the rounds' own ratios.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.rounds import spread
from kd_core.bench import interleaved
from kd_core.methods.nst import nst_loss
from kd_core.methods.rkd import angle_loss

Loss = Callable[[Tensor, Tensor], Tensor]

B, D = 128, 64
TAPS = {"layer1": (16, 32, 32), "layer2": (32, 16, 16), "layer3": (64, 8, 8)}


def product_floor(student: Tensor, _: Tensor) -> Tensor:
    differences = student.unsqueeze(0) - student.unsqueeze(1)
    return torch.bmm(differences, differences.transpose(1, 2)).sum()


def traffic_floor(student: Tensor, _: Tensor) -> Tensor:
    once = [torch.full(shape, 0.5).sum() for shape in ((B, B, D), (B, B, B)) for _ in ("forward", "backward")]
    return torch.stack(once).sum() * student.sum()


def usual_angle(student: Tensor, teacher: Tensor) -> Tensor:
    def cosines(rows: Tensor) -> Tensor:
        directions = functional.normalize(rows.unsqueeze(0) - rows.unsqueeze(1), dim=2)
        return directions @ directions.mT

    with torch.no_grad():
        target = cosines(teacher)
    return functional.smooth_l1_loss(cosines(student), target)


def broadcast_nst(student: Tensor, teacher: Tensor) -> Tensor:
    def kernel(left: Tensor, right: Tensor) -> Tensor:
        return (left.unsqueeze(2) * right.unsqueeze(1)).sum(-1).square().mean()

    student, teacher = (functional.normalize(maps.flatten(2), dim=2) for maps in (student, teacher))
    return kernel(teacher, teacher) + kernel(student, student) - 2 * kernel(student, teacher)


ANGLE: dict[str, Loss] = {
    "traffic": traffic_floor,
    "product": product_floor,
    "ours": angle_loss,
    "usual": usual_angle,
}
NST: dict[str, Loss] = {"ours": nst_loss, "broadcast": broadcast_nst}


def seconds(loss: Loss, student: Tensor, teacher: Tensor) -> float:
    """One forward and backward pass."""
    leaf = student.clone().requires_grad_()
    start = time.perf_counter()
    loss(leaf, teacher).backward()
    return time.perf_counter() - start


def take_turns(losses: dict[str, Loss], pair: tuple[Tensor, Tensor], rounds: int) -> dict[str, list[float]]:
    return interleaved({name: partial(seconds, loss, *pair) for name, loss in losses.items()}, rounds)


def show(title: str, times: dict[str, list[float]], bases: list[str], notes: dict[str, str]) -> None:
    print(f"\n{title}\n{'':12}{'median (quartiles)':>34}" + "".join(f"{'/ ' + base:>26}" for base in bases))
    for name, values in times.items():
        line = f"{name:12}{spread([1e3 * value for value in values], 'ms'):>34}"
        for base in bases:
            line += f"{spread([a / b for a, b in zip(values, times[base], strict=True)], 'x'):>26}"
        print(f"{line}  {notes.get(name, '')}".rstrip())


def maps(tap: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(B, *TAPS[tap], generator=generator).relu() for _ in range(2))
    return student, teacher


def _memory(field: str) -> float:
    """MiB of this process as Linux counts them: VmRSS now, VmHWM at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def _measure_peak(name: str, tap: str, queue: multiprocessing.Queue[float]) -> None:
    torch.set_num_threads(1)
    pair = maps(tap)
    seconds(NST[name], *(tensor[:1] for tensor in pair))  # libraries load outside the measurement
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _memory("VmRSS")
    seconds(NST[name], *pair)
    queue.put(_memory("VmHWM") - before)


def peak_mebibytes(name: str, tap: str) -> float:
    """How far one forward and backward pass raises a fresh process's memory."""
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[float] = context.Queue()
    child = context.Process(target=_measure_peak, args=(name, tap, queue))
    child.start()
    peak = queue.get()
    child.join()
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of the RKD angle and NST losses.")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each comparison (default 15)")
    parser.add_argument("--json", type=Path, help="only take the times of one thread, and keep them here")
    options = parser.parse_args()
    rounds = options.rounds
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {rounds} rounds, forward and backward, one thread")
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(B, D, generator=generator), torch.rand(B, D, generator=generator)
    angle = take_turns(ANGLE, rows, rounds)
    if options.json:
        nst = take_turns(NST, maps("layer3"), rounds)
        options.json.write_text(json.dumps({"angle": angle, "nst": nst}))
        return
    show(f"RKD angle, B = {B}, D = {D}", angle, ["product", "traffic"], {})
    for tap, shape in TAPS.items():
        peaks = {name: f"peak + {peak_mebibytes(name, tap):.0f} MiB" for name in NST}
        show(f"NST, {tap} {(B, *shape)}", take_turns(NST, maps(tap), rounds), ["ours"], peaks)


if __name__ == "__main__":
    main()
