"""Is everything ready for a campaign? Small checks, each a finding and the command to type; none changes anything."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kd_hpc.campaign import Campaign
from kd_hpc.campaign_file.site import SITE
from kd_hpc.catalogue import DATASETS, last_torch_for
from kd_hpc.disk.sealed import read_object
from kd_hpc.errors import Damaged
from kd_hpc.schedulers.readiness import Check, Level, Place
from kd_hpc.schedulers.registry import kind
from kd_hpc.schedulers.shell import call

TIMEOUT = 60.0
"""Seconds for one question to a module system or another Python, which may lie on a slow file system."""
BYTES_A_RUN = 60 * 1024**2
"""Checkpoint, two sets of weights, representations and curves of a ResNet112, rounded up."""
SPARE_BYTES = 2 * 1024**3
_ASK_PYTHON = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {"python": ".".join(map(str, sys.version_info[:3]))}
for name in ("torch", "kd-core"):
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def local_checks(place: Place) -> Iterator[Check]:
    """The checks that need no scheduler, in the order in which a newcomer meets them."""
    checks: tuple[Callable[[Place], Iterator[Check]], ...]
    checks = (project, modules, environment, prepared_data, best_epoch, disk_space, file_system)
    for check in checks:
        yield from check(place)


def project(place: Place) -> Iterator[Check]:
    code, name = place.campaign.resources.project, place.campaign.scheduler.kind
    missing = kind(name).missing_line(place.campaign)
    if not missing:
        yield Check("project code", Level.OK, code or f"none, and {name} needs none")
        return
    line = f"write {missing} (your own) under [resources] of {SITE}"
    yield Check("project code", Level.WRONG, f"not filled in: {name} takes no job without it", line)


def modules(place: Place) -> Iterator[Check]:
    for module in place.campaign.resources.modules:
        script = f"type module >/dev/null 2>&1 || source /etc/profile; module load {shlex.quote(module)} && echo loaded"
        ran = call(["bash", "-c", script], timeout=TIMEOUT)
        if "loaded" in ran.stdout.split() and not re.search(r"unable|error|not found|unknown", ran.stderr, re.I):
            yield Check("module", Level.OK, f"{module} loads")
            continue
        finding = f"{module} does not load: {ran.failure or next(reversed(ran.complaints), 'no message')}"
        yield Check("module", Level.WRONG, finding, f"module avail {module.partition('/')[0]}")


def environment(place: Place) -> Iterator[Check]:
    """The jobs' Python: that it is there, holds the trainer, and a torch that this campaign's GPU still runs."""
    asks = place.campaign.resources
    python = Path(asks.venv) / "bin" / "python" if asks.venv else Path(sys.executable)
    try:
        found: dict[str, str] = json.loads(call([str(python), "-c", _ASK_PYTHON], timeout=TIMEOUT).stdout)
    except ValueError:
        command = f"python3 -m venv {asks.venv}" if asks.venv else "bash toolbox/setup.sh"
        yield Check("environment", Level.WRONG, f"{python} does not run", command)
        return
    if "kd-core" in found and os.access(python.with_name("kd-core"), os.X_OK):
        yield Check("environment", Level.OK, f"Python {found['python']} with kd-core {found['kd-core']} at {python}")
    else:
        yield Check("environment", Level.WRONG, f"{python} has no kd-core", f"{python} -m pip install packages/kd-core")
    yield torch_for_gpu(found.get("torch"), asks.gpu_type, asks.gpus, str(python))


def torch_for_gpu(torch: str | None, gpu_type: str | None, gpus: int, python: str = "python") -> Check:
    """Whether `torch`, a version, has kernels for `gpu_type`, a site's word such as V100 or tesla-v100."""
    if torch is None:
        return Check("torch", Level.WRONG, "not installed for the jobs", f"{python} -m pip install torch")
    if not gpus:
        return Check("torch", Level.OK, f"{torch}; the jobs ask for no GPU")
    if gpu_type is None:
        line = 'write gpu_type = "V100" (or what the nodes have) under [resources]'
        return Check("torch", Level.WARNING, f"{torch}; whether the GPU runs it cannot be told", line)
    limit = last_torch_for(gpu_type)
    version = tuple(int(number) for number in re.findall(r"\d+", torch)[:2])
    if limit and version > limit:
        newest = ".".join(map(str, limit))
        command = f'{python} -m pip install "torch<={newest}.99"'
        return Check("torch", Level.WRONG, f"{torch} has no kernels for {gpu_type}: at most {newest} does", command)
    return Check("torch", Level.OK, f"{torch} for {gpu_type}")


def best_epoch(place: Place) -> Iterator[Check]:
    """What will choose it; recommended is that the test images do not."""
    if held_out := place.campaign.recipe.validation:
        yield Check("best epoch", Level.OK, f"chosen on {held_out} training images that are held out")
    else:
        advice = f"validation = {_tenth(place.campaign)}, say, under [recipe] holds training images out to choose it"
        yield Check("best epoch", Level.OK, f"chosen on the test images, which flatters it; {advice}")


def _tenth(campaign: Campaign) -> int:
    """A tenth of the training images of the smallest known data set, one digit of it."""
    known = [DATASETS[name].train_items for name in campaign.datasets if name in DATASETS]
    tenth = min(known, default=50_000) // 10
    digit: int = 10 ** (len(str(tenth)) - 1)
    return tenth // digit * digit


def prepared_data(place: Place) -> Iterator[Check]:
    folder = Path(place.campaign.resources.data)
    for name in place.campaign.datasets:
        command = f"kd-core data prepare {name}"
        if name in place.campaign.data:
            command += f" --campaign {place.file}"
        try:
            files = read_object(folder / name / "manifest.json")["files"]
            missing = [file for file in files if not (folder / name / file).is_file()]
        except (OSError, Damaged, KeyError, TypeError):
            yield Check("data", Level.WRONG, f"{name} is not prepared in {folder}", command)
            continue
        if missing:
            yield Check("data", Level.WRONG, f"{name} lacks {', '.join(missing)}", command)
        else:
            yield Check("data", Level.OK, f"{name}: {len(files)} files in {folder / name}")


def disk_space(place: Place) -> Iterator[Check]:
    parent = _existing(place.experiments)
    free = shutil.disk_usage(parent).free
    needed = len(place.campaign.experiments()) * BYTES_A_RUN
    finding = f"{free / 1024**3:.0f} GiB free at {parent}; the whole campaign needs about {needed / 1024**3:.1f}"
    level = Level.OK if free > needed + SPARE_BYTES else Level.WARNING if free > SPARE_BYTES else Level.WRONG
    yield Check("disk space", level, finding, "" if level == Level.OK else f"du -sh {place.experiments}/* | sort -h")


def file_system(place: Place) -> Iterator[Check]:
    """Whether this file system keeps the promises that locks and records stand on."""
    parent = _existing(place.experiments)
    try:
        with tempfile.TemporaryDirectory(prefix=".kd-doctor-", dir=parent) as name:
            problem = _one_winner(Path(name)) or _replaces_whole(Path(name))
    except OSError as error:
        problem = f"cannot be written: {error.strerror}"
    if problem:
        yield Check("file system", Level.WRONG, f"{parent}: {problem}", "choose another folder with --experiments")
    else:
        yield Check("file system", Level.OK, f"{parent}: links are exclusive, replacing is atomic")


def _one_winner(folder: Path, rounds: int = 20, rivals: int = 8) -> str:
    """What is wrong with hard links as locks; empty if of all rivals exactly one ever wins."""
    for number in range(rounds):
        lock = folder / f"lock.{number}"
        drafts = [folder / f"draft.{number}.{rival}" for rival in range(rivals)]
        for draft in drafts:
            draft.write_text(draft.name)
        with ThreadPoolExecutor(rivals) as pool:
            winners = sum(pool.map(_links, drafts, [lock] * rivals))
        if winners != 1:
            return f"{winners} of {rivals} rivals took one lock"
    return ""


def _links(draft: Path, lock: Path) -> bool:
    try:
        os.link(draft, lock)
    except FileExistsError:
        return False
    return True


def _replaces_whole(folder: Path, rounds: int = 50) -> str:
    """What is wrong with os.replace; empty if a reader always finds a whole file."""
    target = folder / "target"
    target.write_text("x" * 4096)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(lambda: [target.read_text() for _ in range(4 * rounds)])
        for number in range(rounds):
            draft = folder / "next"
            draft.write_text(str(number % 10) * 4096)
            draft.replace(target)
        torn = [text for text in reading.result() if len(text) != 4096 or len(set(text)) != 1]
    return "a reader saw half of a replaced file" if torn else ""


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.absolute().parents) if parent.is_dir())
