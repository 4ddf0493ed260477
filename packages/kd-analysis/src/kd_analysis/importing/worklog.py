"""worklog.txt: blocks of `name: value` by epoch, in a folder called method,teacher,student or vanilla,student.

mdistiller and what is built on it write such logs, test accuracy in percent after every epoch. They state neither seed
nor a share of distillation in the loss.
"""

from __future__ import annotations

import re
from pathlib import Path

from kd_analysis.importing.result import NotUnderstood, Result
from kd_hpc.catalogue import PURE

NAME = "worklog.txt"
_LINE = re.compile(r"^(epoch|train_acc|train_loss|test_acc|test_loss): *([-+0-9.einfa]+)\s*$", re.MULTILINE)
_METHODS = {
    "kd": "logit",
    "at": "attention_transfer",
    "ft": "factor_transfer",
    "fitnet": "fitnets",
    "rkd": "rkd",
    "nst": "nst",
}
"""Methods that kd has under another name; all others keep theirs."""
_DATASETS = {"cifar100": "Cifar100", "cifar10": "Cifar10", "tiny": "TinyImageNet", "imagenet": "ImageNet"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def read_worklog(path: Path, dataset: str | None) -> Result:
    """Raises NotUnderstood, also where neither `dataset` nor the folder above says which data set it is."""
    method, *networks = path.parent.name.split(",")
    plain = method.lower() in ("vanilla", "none", "baseline")
    if len(networks) < (1 if plain else 2):
        raise NotUnderstood(
            f"{path}: its folder is not called method,teacher,student.", remedy="Call it so, or vanilla,student."
        )
    known = dataset or _dataset(path.parent.parent.name)
    if known is None:
        raise NotUnderstood(f"{path} does not say on which data set.", remedy="Name it with --dataset.")
    curves = _curves(path)
    teacher = None if plain else networks[0]
    return Result(
        source=path,
        dataset=known,
        method=PURE if plain else _METHODS.get(method.lower(), _safe(method)),
        alpha=None,
        teacher=teacher,
        student=networks[0] if plain else networks[1],
        seed=None,
        epochs=len(curves["test_acc"]),
        acc_last=curves["test_acc"][-1],
        acc_best=max(curves["test_acc"]),
        curves=curves,
        settings={"experiment": path.parent.name},
    )


def _curves(path: Path) -> dict[str, tuple[float, ...]]:
    """By epoch, as each was last logged: a resumed run writes some twice."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        raise NotUnderstood(f"{path} cannot be read: {error}.") from error
    epochs: dict[int, dict[str, float]] = {}
    at: dict[str, float] = {}
    for name, value in _LINE.findall(text):
        if name == "epoch":
            at = epochs.setdefault(int(float(value)), {})
        else:
            at[name] = float(value)
    rows = [epochs[number] for number in sorted(epochs) if "test_acc" in epochs[number]]
    if not rows:
        raise NotUnderstood(f"{path} holds no epoch with a test accuracy.")
    names = [name for name in ("train_acc", "train_loss", "test_acc", "test_loss") if all(name in row for row in rows)]
    return {name: tuple(row[name] for row in rows) for name in names}


def _dataset(folder: str) -> str | None:
    return next((name for part, name in _DATASETS.items() if part in folder.lower()), None)


def _safe(name: str) -> str:
    return _UNSAFE.sub("-", name).strip("-") or "unnamed"
