"""How long does `kd-analysis report` take? Generates a tree of runs and times real processes, cold and from the cache.

    python -m benchmarks.report_speed                                 312 runs without representations
    python -m benchmarks.report_speed --items 10000                   the same with representations of N = 10,000
    python -m benchmarks.report_speed --runs 24 --items 2000          something short

Prints one line a command: wall seconds, processor seconds of all its processes, peak memory of the largest one.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.analysis.trees import TreeSpec, build_tree

METHODS = ("logit", "factor_transfer", "attention_transfer", "fitnets", "rkd", "nst")
DATASETS = ("Cifar10", "Cifar100", "SVHN", "TinyImageNet")
PROGRAM = [sys.executable, "-c", "from kd_analysis.cli import main; main()"]


def grid(runs: int, items: int) -> TreeSpec:
    """At least `runs` runs: 312 are 4 data sets x (6 methods x 4 alphas + 2 pure) x 3 seeds; few are one data set."""
    per_seed = len(DATASETS) * (len(METHODS) * 4 + 2)
    datasets = DATASETS if runs >= per_seed else DATASETS[:1]
    alphas = (0.2, 0.4, 0.6, 0.8) if runs >= per_seed else (0.25, 0.5, 0.75)
    seeds = max(2, -(-runs // (len(datasets) * (len(METHODS) * len(alphas) + 2))))
    return TreeSpec(
        datasets=datasets,
        teacher="ResNet112",
        student="ResNet56",
        methods=METHODS,
        alphas=alphas,
        seeds=tuple(range(seeds)),
        epochs=150,
        items=items,
        gains={"logit": 1.0},
    )


def timed(label: str, *words: str) -> None:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*PROGRAM, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{label:<34} {wall:8.1f} s wall {cpu:8.1f} s cpu {after.ru_maxrss / 2**20:6.2f} GiB peak", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=312)
    parser.add_argument("--items", type=int, default=0, help="test items with representations; 0 for none")
    parser.add_argument("--keep", type=Path, help="keep the generated tree here and use it again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = options.keep or Path(scratch) / "experiments"
        if not root.is_dir():
            build_tree(root, grid(options.runs, options.items))
        count = sum(1 for _ in root.rglob("status.json"))
        print(f"{count} runs, N = {options.items}, {os.cpu_count()} cores")
        report, cache, plots = (str(Path(scratch) / name) for name in ("report", "cache", "plots"))
        timed("report, nothing cached", "report", str(root), "-o", report, "--cache", cache)
        timed("report, everything cached", "report", str(root), "-o", report, "--cache", cache)
        timed("plots, first time", "plots", str(root), "-o", plots)
        timed("plots, nothing changed", "plots", str(root), "-o", plots)
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
