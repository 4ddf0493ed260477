"""What docs/evidence.md says of one data set: every cell beside the student on hard labels, in kd-analysis's words."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pandas as pd

import kd_analysis
from benchmarks.evidence.images import ImageSet

HARD = "pure+hard"
SWEPT = {"+mix_sum": ", labels in full", "+calibrated_0.5": ", half as hard as the labels"}
"""What a swept method's name ends with, and how the page says that."""


class Question(NamedTuple):
    images: ImageSet
    train: int
    test: int
    archive: str


def section(experiments: Path, question: Question, options: argparse.Namespace) -> str:
    """The section, with what `kd_analysis` says of the runs below `experiments`."""
    runs = kd_analysis.load(experiments)
    found = kd_analysis.analyse(experiments)
    both = [found.table(name) for name in ("simultaneous", "controls") if name in found.tables]
    cells = pd.concat(both)
    runs = runs[runs.counted]
    return "\n".join(
        [*_setting(question, options), "", *_table(runs, cells, options), "", *_made_by(question, options)]
    )


def _setting(question: Question, options: argparse.Namespace) -> Iterator[str]:
    yield f"## {question.images.title}"
    yield ""
    yield (
        f"{question.train:,} training and {question.test:,} test images (the first of each class), {options.teacher} "
        f"-> {options.student}, {options.epochs} epochs, batch {options.batch_size}, learning rate {options.lr:g}, "
        f"{options.seeds} seeds. Accuracy of the last epoch on the test images, in percent."
    )


def _table(runs: pd.DataFrame, cells: pd.DataFrame, options: argparse.Namespace) -> Iterator[str]:
    own = runs[runs.student == options.student]
    alone = {
        "Teachers": runs[(runs.method == "pure") & (runs.student == options.teacher)],
        "Students on hard labels": own[own.method == HARD],
        "Pure students, with label smoothing": own[own.method == "pure"],
    }
    yield " ".join(f"{what}: {_accuracies(found)}." for what, found in alone.items())
    yield ""
    yield "| method | alpha | accuracy by seed | difference to hard labels | for all cells at once, 95 % | verdict |"
    yield "|---|---|---|---|---|---|"
    for cell in cells[cells.method != "pure"].itertuples():
        mine = own[(own.method == cell.method) & (own.alpha == float(cell.alpha))]
        bounds = f"{cell.low:+.2f} to {cell.high:+.2f}"
        yield (
            f"| {_in_words(str(cell.method))} | {cell.alpha} | {_accuracies(mine)} | "
            f"{cell.difference:+.2f} | {bounds} | {cell.conclusion} |"
        )


def _in_words(method: str) -> str:
    for ending, words in SWEPT.items():
        method = method.replace(ending, words)
    return method


def _accuracies(runs: pd.DataFrame) -> str:
    return ", ".join(f"{accuracy:.2f}" for accuracy in runs.sort_values("seed").acc_last)


def _made_by(question: Question, options: argparse.Namespace) -> Iterator[str]:
    yield (
        f"Made by `python -m benchmarks.evidence WORKDIR --images {question.archive} --train-images {question.train} "
        f"--test-images {question.test} --epochs {options.epochs} --batch-size {options.batch_size} "
        f"--lr {options.lr:g} --seeds {options.seeds}` on {os.cpu_count()} CPU cores, torch {version('torch')}, "
        f"Python {platform.python_version()}; differences, bounds and verdicts are those of `kd-analysis report`."
    )


def with_section(page: str, text: str) -> str:
    """`page` with the section that begins as `text` does replaced by it, or with it at the end."""
    heading = text.partition("\n")[0]
    before, found, rest = page.partition(f"{heading}\n")
    _, other, after = rest.partition("\n## ")
    return f"{before.rstrip()}\n\n{text.rstrip()}\n" + (f"\n## {after}" if found and other else "")
