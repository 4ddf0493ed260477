"""How fast is a training step beside the ordinary way of writing it?

    python -m benchmarks.step [--rounds 7] [--steps 1] [--method logit ...] [--students 6] [--with-data] [--plain]
        [--device cuda] [--json FILE]

The ordinary way: teacher and student eager and in torch's own memory layout, torch.optim.SGD, autocast and GradScaler
on a GPU and float32 on a CPU, torchvision's PIL transforms in a DataLoader, `.item()` every step, one student a
process. Ours is `kd_core`'s fast step. Every round runs all variants in turn; a ratio is the median of the rounds'
own. On a CPU the seconds are the processor's and data is left out unless asked for (benchmarks/loader.py measures
it); on a GPU data is always part, with 8 worker processes for the ordinary way. --plain times kd_core's plain step,
too. On a GPU the JSON tells each variant's peak of memory beside what was there before it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from itertools import cycle, islice
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import transforms

from benchmarks.loader import USUAL_TRANSFORMS, UsualImages
from benchmarks.rounds import machine, spread
from kd_core.bench import Setting, Workload, interleaved, make_ready, now, random_images, same_method
from kd_core.data.sources import SOURCES
from kd_core.methods import METHODS
from kd_core.methods.base import Items, Method, untrained
from kd_core.networks import build
from kd_core.runtime.device import choose_device, choose_dtype
from kd_hpc.catalogue import DATASETS

WORKERS_BESIDE_A_GPU = 8
FLOOR_SECONDS, FLOOR_BANDWIDTH = 358 / (150 * 391), 900e9
"""Estimate for a V100 of 900 GB/s: a run of 150 epochs of 391 steps, its test images on top, moves 358 s of bytes."""


class Usual:
    """One student in training the ordinary way; shares only networks and loss functions with kd_core."""

    def __init__(self, setting: Setting, method: str, *, with_data: bool) -> None:
        self.setting, self.device = setting, choose_device(setting.device)
        self.dtype = choose_dtype(setting.amp_dtype, self.device)
        classes = DATASETS[setting.dataset].classes
        torch.manual_seed(0)
        self.teacher = build(setting.teacher, classes).to(self.device).eval()
        self.student = build(setting.student, classes).to(self.device)
        self.method = self._method(METHODS[method])
        parameters = [p for module in (self.student, self.method) for p in module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(parameters, lr=1e-3, momentum=0.9, weight_decay=5e-4)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.batches = self._batches() if with_data else cycle([self._fixed_batch()])
        self.step(*next(self.batches))

    def _method(self, kind: type[Method]) -> Method:
        method = kind.build(student=self.student.widths, teacher=self.teacher.widths, temperature=4.0)
        method.prepare(untrained)
        return method.to(self.device)

    def _fixed_batch(self) -> tuple[Tensor, Tensor]:
        size = DATASETS[self.setting.dataset].size
        labels = torch.randint(DATASETS[self.setting.dataset].classes, (self.setting.batch_size,))
        return torch.randn(self.setting.batch_size, 3, size, size), labels

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        source = SOURCES[self.setting.dataset]
        finish = [transforms.ToTensor(), transforms.Normalize(source.mean, source.deviation)]
        images = UsualImages(
            *random_images(self.setting).train, transforms.Compose([*USUAL_TRANSFORMS["crop-flip"], *finish])
        )
        loader = DataLoader(
            images,
            batch_size=self.setting.batch_size,
            shuffle=True,
            num_workers=WORKERS_BESIDE_A_GPU if self.device.type == "cuda" else 0,
            persistent_workers=self.device.type == "cuda",
            pin_memory=self.device.type == "cuda",
        )
        while True:
            yield from loader

    def step(self, images: Tensor, labels: Tensor) -> None:
        images, labels = images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            with torch.no_grad():
                target = self.teacher(images)
            outputs = self.student(images)
        ce = functional.cross_entropy(outputs.logits.float(), labels)
        items = Items(labels, torch.arange(len(labels), device=labels.device), torch.zeros_like(labels[0]))
        terms = self.method.terms_of(outputs, target, items)
        distillation = sum(self.method.weights[name] * term for name, term in terms.items())
        loss = 0.5 * ce + 0.5 * distillation
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        loss.item()

    def seconds(self) -> float:
        start = now(self.device)
        for batch in islice(self.batches, self.setting.steps):
            self.step(*batch)
        return (now(self.device) - start) / self.setting.steps


class Apart:
    """The ordinary way in a process of its own, which none of our settings reach."""

    def __init__(self, *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there, torch.get_num_threads(), *arguments))
        self._process.start()

    def seconds(self) -> float:
        self._here.send("step")
        seconds: float = self._here.recv()
        return seconds

    def end(self) -> None:
        self._process.kill()
        self._process.join()


def _serve(requests: Connection, threads: int, setting: Setting, method: str, with_data: bool) -> None:
    torch.set_num_threads(threads)
    usual = Usual(setting, method, with_data=with_data)
    while requests.recv():
        requests.send(usual.seconds())


def main() -> None:
    options = parse()
    setting = Setting(
        options.teacher,
        options.student,
        batch_size=options.batch_size,
        students=options.students,
        rounds=options.rounds,
        steps=options.steps,
        device=options.device,
    )
    with_data = options.with_data or choose_device(setting.device).type == "cuda"
    print(f"{options.teacher} -> {options.student}, batch {setting.batch_size}, torch {torch.__version__}, ", end="")
    print(f"{torch.get_num_threads()} threads; {machine()}")
    print(f"{'':22}{'ordinary':>30}{'one student':>30}{'ratio':>26}", end="")
    print(f"{f'{options.students} students':>30}{'ratio, student images':>26}")
    results, peaks = {}, {}
    for method in options.method or METHODS:
        results[method], peaks[method] = measure(setting, method, with_data=with_data, plain=options.plain)
        show(method, results[method], options.students)
    found: dict[str, object] = {"setting": asdict(setting), "seconds": results, "peak_bytes": peaks}
    if choose_device(setting.device).type == "cuda":
        found["floor_seconds"] = floor(setting)
        print(f"floor by the memory traffic of unfused operations: {1000 * floor(setting):.2f} ms a step")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))


def measure(
    setting: Setting, method: str, *, with_data: bool, plain: bool
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Seconds a step by variant, round by round, and peaks in bytes on a GPU; all students are of this method."""
    make_ready()
    usual = Apart(setting, method, with_data)
    try:
        every = same_method(method, setting.students)
        kinds = {"one": (every[:1], "fast"), "together": (every, "fast")}
        kinds |= {"plain": (every[:1], "plain"), "plain together": (every, "plain")} if plain else {}
        built = {name: with_peak(lambda kind=kind: Workload(setting, *kind)) for name, kind in kinds.items()}  # type: ignore[misc]
        ours = {name: work.seconds for name, (work, _) in built.items()}
        times = interleaved({"ordinary": usual.seconds, **ours}, setting.rounds)
        return times, {name: peak for name, (_, peak) in built.items() if peak}
    finally:
        usual.end()


def with_peak(make: Callable[[], Workload]) -> tuple[Workload, int]:
    """What `make` makes, which takes steps meanwhile, and by how many bytes the GPU's memory then grew; 0 on a CPU."""
    if not torch.cuda.is_available():
        return make(), 0
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work = make()
    torch.cuda.synchronize()
    return work, torch.cuda.max_memory_allocated() - before


def show(method: str, times: dict[str, list[float]], students: int) -> None:
    def ratios(variant: str, count: int) -> list[float]:
        return [count * usual / ours for usual, ours in zip(times["ordinary"], times[variant], strict=True)]

    cells = [spread([1e3 * value for value in times[name]], "ms") for name in ("ordinary", "one", "together")]
    print(
        f"{method:22}{cells[0]:>30}{cells[1]:>30}{spread(ratios('one', 1), 'x'):>26}"
        f"{cells[2]:>30}{spread(ratios('together', students), 'x'):>26}",
        flush=True,
    )


def floor(setting: Setting) -> float:
    """Seconds of a step of ResNet112 -> ResNet56 if every operation reads and writes its tensors once: the least."""
    return FLOOR_SECONDS * FLOOR_BANDWIDTH / bandwidth() * setting.batch_size / 128


@cache
def bandwidth() -> float:
    """Bytes a second that this GPU reads and writes when it copies 1 GiB; the best of 20."""
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    times = []
    for _ in range(20):
        start = now(source.device)
        target.copy_(source)
        times.append(now(source.device) - start)
    return 2 * source.numel() / min(times)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="ResNet112")
    parser.add_argument("--student", default="ResNet56")
    parser.add_argument("--method", action="append", choices=list(METHODS))
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--students", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--with-data", action="store_true")
    parser.add_argument("--plain", action="store_true", help="kd_core's plain step, too")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
