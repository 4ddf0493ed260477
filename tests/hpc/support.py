"""What tests of the runner and the command line share: small campaigns, a stand-in trainer, processes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from kd_hpc.campaign import Campaign
from kd_hpc.disk.files import publish_bytes
from kd_hpc.experiment import Experiment
from kd_hpc.records import StatusRecord, sealed, to_bytes
from kd_hpc.schedulers.local.scheduler import FOLDER_VARIABLE
from kd_hpc.store import STATUS, Store
from tests import warm

HANGS = 1000.0
"""Seconds after which something hangs. No test passes or fails by the speed of its machine; none waits for ever."""
KD_HPC = str(Path(sys.executable).with_name("kd-hpc"))
STANDIN = Path(__file__).with_name("standin.py")

CAMPAIGN = """\
name = "tiny"
datasets = ["Digits"]
teacher = "ResNet20"
student = "ResNetBaby"
methods = ["logit"]
alphas = [0.5]
seeds = [0, 1]

[recipe]
epochs = 3

[resources]
walltime = "00:10:00"
venv = "{venv}"

[scheduler]
kind = "local"
slots = 2
"""

TEACHER = Experiment(dataset="Digits", student="ResNet20", seed=0)
PURE = Experiment(dataset="Digits", student="ResNetBaby", seed=0)
STUDENT = Experiment(dataset="Digits", method="logit", alpha=0.5, teacher="ResNet20", student="ResNetBaby", seed=0)


def tiny_campaign(**changes: Any) -> Campaign:
    """Six runs of two seeds: two teachers, two pure students, two distilled ones."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "datasets": ["Digits"],
        "teacher": "ResNet20",
        "student": "ResNetBaby",
        "methods": ["logit"],
        "alphas": [0.5],
        "seeds": [0, 1],
        "recipe": {"epochs": 3},
    }
    return Campaign.model_validate(fields | changes)


def put_record(store: Store, run: Experiment, record: StatusRecord) -> None:
    """Let `record` be what is on record, whatever was before."""
    before = store.read(run)
    revision = before.revision if isinstance(before, StatusRecord) else 0
    stamp = {"revision": revision + 1, "updated_at": datetime.now(UTC), "experiment": run}
    publish_bytes(store.create(run) / STATUS, to_bytes(sealed(record.model_copy(update=stamp))))


def standin_venv(folder: Path) -> Path:
    """An environment whose kd-core is the stand-in."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(parents=True, exist_ok=True)
    (bin_folder / "activate").touch()
    program = bin_folder / "kd-core"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {STANDIN} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def campaign_file(folder: Path, text: str = CAMPAIGN, name: str = "tiny.toml") -> Path:
    path = folder / name
    path.write_text(text.replace("{venv}", str(standin_venv(folder / "venv"))))
    return path


def kd_hpc(*words: object, cwd: Path, timeout: float = HANGS, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run kd-hpc to its end."""
    return subprocess.run(
        [warm.to_start["kd-hpc"], *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **environment},
        check=False,
    )


def wait_until(condition: Callable[[], bool], seconds: float = HANGS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def calls_of(work: Callable[[], object]) -> int:
    """How many Python functions `work` calls: what it costs, on whatever machine."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def job_processes(root: Path) -> list[psutil.Process]:
    """Live trainers of the local scheduler below `root`, with their supervisors."""
    found = []
    for process in psutil.process_iter():
        try:
            in_environment = process.environ().get(FOLDER_VARIABLE, "").startswith(str(root))
            if in_environment or any(word.startswith(str(root)) and ".kd/local/" in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def no_jobs_left(root: Path) -> Iterator[None]:
    """End whatever the body started below `root`."""
    try:
        yield
    finally:
        for process in job_processes(root):
            try:
                process.kill()
            except psutil.Error:
                continue
