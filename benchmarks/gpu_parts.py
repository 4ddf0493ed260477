"""What benchmarks/gpu_check.sh asks of Python: the machine, a campaign's figures, and one table of all parts.

python -m benchmarks.gpu_parts where [--device cuda]
python -m benchmarks.gpu_parts profile [--device cuda] [--students 6] [--networks TEACHER STUDENT]
python -m benchmarks.gpu_parts campaign EXPERIMENTS
python -m benchmarks.gpu_parts summary OUT --json FILE --markdown FILE
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kd_core.bench import Workload

PARTS = ("where", "tests", "step", "profile", "resume", "campaign")
LONGEST = 25


def where(device: str) -> dict[str, Any]:
    """Card, driver's memory, versions."""
    import torch

    found: dict[str, Any] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    if device == "cuda":
        facts = torch.cuda.get_device_properties(0)
        found |= {"gpu": facts.name, "memory_gib": round(facts.total_memory / 2**30, 1)}
    return found | {"device": device}


def profile(device: str, students: int, networks: Sequence[str]) -> dict[str, Any]:
    """Of a step of one student and of several together: launches, milliseconds of work and clock, the longest kernels.

    Work that runs side by side counts in full, so several students' work can be more than the clock's.
    """
    from kd_core.bench import Setting, Workload, make_ready, same_method

    make_ready()
    teacher, student = networks
    setting = Setting(teacher, student, students=students, steps=10, device=device)
    every = same_method("logit", students)
    return {
        name: _profiled(Workload(setting, some, "fast")) for name, some in (("one", every[:1]), ("together", every))
    }


def _profiled(work: Workload) -> dict[str, Any]:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    clock = min(work.seconds() for _ in range(3))
    on_gpu = work.device.type == "cuda"
    with profiler(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as profiled:
        work.seconds()
    found = [
        (event.self_device_time_total if on_gpu else event.self_cpu_time_total, event.count, event.key)
        for event in profiled.key_averages()
    ]
    found = sorted((event for event in found if event[0]), reverse=True)
    steps = work.setting.steps
    return {
        "clock_ms": 1e3 * clock,
        "work_ms": sum(micros for micros, *_ in found) / 1e3 / steps,
        "launches": sum(count for _, count, _ in found) / steps,
        "longest": [
            {"ms": micros / 1e3 / steps, "launches": count / steps, "kernel": key[:120]}
            for micros, count, key in found[:LONGEST]
        ],
    }


def campaign(experiments: Path) -> dict[str, Any]:
    """Of each run its last accuracy, and the median seconds of an epoch, of all students of a process together."""
    runs = {}
    for path in sorted(experiments.rglob("status.json")):
        record, curves = (json.loads((path.parent / name).read_text()) for name in ("status.json", "metrics.json"))
        runs[str(path.parent.relative_to(experiments))] = {
            "state": record["state"],
            "test_accuracy": record.get("acc_last"),
            "epochs": record.get("epoch"),
            "seconds_an_epoch": median(curves["seconds"]),
            "students": curves["students"][-1],
            "dtype": record["provenance"]["dtype"],
        }
    return runs


def summary(out: Path) -> dict[str, Any]:
    """Every part that was run: how it ended, and its figures."""
    found: dict[str, Any] = {}
    for name in PARTS:
        if (end := out / f"{name}.end").exists():
            log, figures = out / f"{name}.log", out / f"{name}.json"
            said = log.read_text().strip().splitlines() if log.exists() else []
            found[name] = {**json.loads(end.read_text()), "said": said[-1] if said else ""}
            found[name] |= {"figures": json.loads(figures.read_text())} if figures.exists() else {}
    return found


def as_markdown(found: Mapping[str, Any]) -> Iterator[str]:
    """A table of the parts, and tables of those that have figures."""
    yield from ("| part | exit | seconds | last words |", "|---|---|---|---|")
    for name, part in found.items():
        yield f"| {name} | {part['exit']} | {part['seconds']} | {part['said'].replace('|', '/')[:120]} |"
    if step := found.get("step", {}).get("figures"):
        yield from ("", *_steps(step))
    if profiles := found.get("profile", {}).get("figures"):
        yield from ("", "| students | clock, ms | work, ms | launches |", "|---|---|---|---|")
        for name, part in profiles.items():
            yield f"| {name} | {part['clock_ms']:.2f} | {part['work_ms']:.2f} | {part['launches']:.0f} |"
    if runs := found.get("campaign", {}).get("figures"):
        yield from ("", "| run | accuracy, % | seconds an epoch | students | dtype |", "|---|---|---|---|---|")
        for path, run in runs.items():
            cells = (path, run["test_accuracy"], f"{run['seconds_an_epoch']:.2f}", run["students"], run["dtype"])
            yield f"| {' | '.join(map(str, cells))} |"


def _steps(step: Mapping[str, Any]) -> Iterator[str]:
    setting, variants = step["setting"], [*next(iter(step["seconds"].values()))]
    students = f"{setting['students']} students"
    yield f"ms a step, median of {setting['rounds']} rounds; batch {setting['batch_size']}, {students} together"
    yield ""
    yield f"| method | {' | '.join(variants)} | together / one | peak of together, MiB |"
    yield f"|---|{'---|' * len(variants)}---|---|"
    for method, seconds in step["seconds"].items():
        cells = [f"{1000 * median(seconds[name]):.2f}" for name in variants]
        times = [both / one for both, one in zip(seconds["together"], seconds["one"], strict=True)]
        peak = step.get("peak_bytes", {}).get(method, {}).get("together")
        yield (
            f"| {method} | {' | '.join(cells)} | {median(times):.2f} | {peak / 2**20:.0f} |"
            if peak
            else (f"| {method} | {' | '.join(cells)} | {median(times):.2f} | not a GPU |")
        )
    if floor := step.get("floor_seconds"):
        yield from ("", f"Floor of one student by memory traffic, unfused: {1000 * floor:.2f} ms a step.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["where", "profile", "campaign", "summary"])
    parser.add_argument("folder", type=Path, nargs="?", default=Path())
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--students", type=int, default=6)
    parser.add_argument("--networks", nargs=2, default=("ResNet112", "ResNet56"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if options.what == "summary":
        found = summary(options.folder)
        options.json.write_text(json.dumps(found, indent=1))
        options.markdown.write_text("\n".join(as_markdown(found)) + "\n")
        print(options.markdown.read_text(), end="")
    elif options.what == "profile":
        print(json.dumps(profile(options.device, options.students, options.networks), indent=1))
    else:
        print(json.dumps(where(options.device) if options.what == "where" else campaign(options.folder)))


if __name__ == "__main__":
    main()
