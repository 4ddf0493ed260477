"""The doctor finds what is wrong, says what to type, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd_hpc.campaign import Campaign, load_campaign
from kd_hpc.doctor import local_checks as doctor
from kd_hpc.doctor.scheduler_checks import scheduler_checks, submission
from kd_hpc.schedulers.own_jobs import OwnJobs
from kd_hpc.schedulers.pbs.doctor import queue_check
from kd_hpc.schedulers.pbs.scheduler import PbsScheduler
from kd_hpc.schedulers.readiness import Check, Level, Place
from kd_hpc.schedulers.slurm.scheduler import SlurmScheduler
from tests.hpc.fakepbs.site import FakePbs
from tests.hpc.slurmsite import SlurmSite, why_not
from tests.hpc.support import HANGS

CAMPAIGN = """
name = "trial"
datasets = ["Digits"]
teacher = "ResNet20"
student = "ResNetBaby"
seeds = [0]
[resources]
queue = "gpu_1"
gpus = 1
memory = "100mb"
project = "CSCI1166"
data = "DATA"
[scheduler]
kind = "pbs"
slots = 10
"""


def place(folder: Path, text: str = CAMPAIGN, **changes: str) -> Place:
    for old, new in changes.items():
        text = text.replace(old, new)
    file = folder / "trial.toml"
    file.write_text(text.replace("DATA", str(folder / "data")))
    return Place(load_campaign(file), file, folder / "experiments")


def only(checks: Iterator[Check], name: str) -> Check:
    found = [check for check in checks if check.name == name]
    assert len(found) == 1
    return found[0]


def prepare(folder: Path, *files: str) -> None:
    (folder / "data" / "Digits").mkdir(parents=True)
    manifest = {"name": "Digits", "files": dict.fromkeys(("train_images.npy", "test_images.npy"), "0" * 64)}
    (folder / "data" / "Digits" / "manifest.json").write_text(json.dumps(manifest))
    for file in files:
        (folder / "data" / "Digits" / file).touch()


def kd_hpc(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from kd_hpc.cli import main; main()"]
    return subprocess.run([*program, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_a_ready_site_is_all_ok_and_exits_0(fakepbs: FakePbs, tmp_path: Path) -> None:
    prepare(tmp_path, "train_images.npy", "test_images.npy")
    ready = place(tmp_path, CAMPAIGN.replace("gpus = 1", ""))
    ran = kd_hpc("doctor", ready.file, "--experiments", ready.experiments, "--submit-test", "--json")
    levels = {check["name"]: check["level"] for check in json.loads(ran.stdout)["checks"]}
    assert ran.returncode == 0
    assert set(levels.values()) == {"ok"}
    assert {"scheduler", "job history", "queue", "project code", "held test job", "file system", "torch"} <= set(levels)


def test_what_is_wrong_is_said_with_the_command_and_exits_1(fakepbs: FakePbs, tmp_path: Path) -> None:
    fakepbs.uninstall("qstat")
    ready = place(tmp_path, CAMPAIGN.replace('project = "CSCI1166"', ""))
    ran = kd_hpc("doctor", ready.file, "--experiments", ready.experiments)
    assert ran.returncode == 1
    wrong = [re.split(r"  +", line, maxsplit=2) for line in ran.stdout.splitlines() if line.startswith("wrong")]
    rows = {name: rest for _, name, rest in wrong}
    assert rows.keys() == {"scheduler", "project code", "data"}
    assert "qstat is not on the PATH" in rows["scheduler"]
    assert 'project = "ABCD1234"' in rows["project code"]
    assert rows["data"].endswith("kd-core data prepare Digits")
    assert "3 of" in ran.stderr


def test_the_test_job_is_held_found_and_deleted_again(fakepbs: FakePbs, tmp_path: Path) -> None:
    check = submission(place(tmp_path), OwnJobs(PbsScheduler("gpu_1")))
    assert check.level == Level.OK
    (job,) = fakepbs.jobs.values()
    assert (job["state"], job.get("stime"), job.get("exit_status")) == ("F", None, None), "it never ran"
    assert [call[0] for call in fakepbs.calls].count("qrls") == 0


def test_a_refused_test_job_is_said_in_the_servers_words(fakepbs: FakePbs, tmp_path: Path) -> None:
    check = submission(place(tmp_path, CAMPAIGN.replace("gpu_1", "gpu_9")), OwnJobs(PbsScheduler()))
    assert check.level == Level.WRONG
    assert "Unknown queue" in check.finding
    assert check.command
    assert fakepbs.jobs == {}


def test_a_hung_server_is_wrong_and_not_waited_for(
    fakepbs: FakePbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kd_hpc.schedulers.pbs.doctor.TIMEOUT", 0.5)
    fakepbs.fault("qstat", "hangs")
    assert only(scheduler_checks(place(tmp_path)), "scheduler").level == Level.WRONG


@pytest.mark.parametrize(
    ("site", "name", "level"),
    [
        ({"history": False}, "job history", Level.WARNING),
        ({"queues": {"gpu_1": {"max_queued": 4, "max_run": 2}}}, "queue", Level.WARNING),
        ({"queues": {"other": {}}}, "queue", Level.WRONG),
        ({}, "queue", Level.OK),
    ],
)
def test_history_and_live_limits_are_judged(
    fakepbs: FakePbs, tmp_path: Path, site: dict[str, object], name: str, level: Level
) -> None:
    fakepbs.set(**site)
    assert only(scheduler_checks(place(tmp_path)), name).level == level


@pytest.mark.parametrize(
    ("text", "level", "word"),
    [
        ("    enabled = False\n    started = True\n", Level.WRONG, "not enabled"),
        ("    resources_max.walltime = 01:00:00\n    enabled = True\n", Level.WRONG, "at most 01:00:00"),
        (
            "    resources_max.walltime = 12:00:00\n    max_run = [u:PBS_GENERIC=4]\n",
            Level.OK,
            "4 of your jobs running",
        ),
    ],
)
def test_a_closed_queue_and_too_long_a_walltime_are_wrong(tmp_path: Path, text: str, level: Level, word: str) -> None:
    check = queue_check(place(tmp_path), "gpu_1", f"Queue: gpu_1\n{text}")
    assert check.level == level
    assert word in check.finding


@pytest.mark.parametrize(
    ("torch", "gpu", "gpus", "level"),
    [
        ("2.6.0+cu124", "V100", 1, Level.OK),
        ("2.10.0", "tesla-v100-16gb", 1, Level.OK),
        ("2.11.0", "V100", 1, Level.WRONG),
        ("2.15.0+cu130", "Tesla_V100", 1, Level.WRONG),
        ("2.15.0", "A100", 1, Level.OK),
        ("2.15.0", "V100", 0, Level.OK),
        ("2.15.0", None, 1, Level.WARNING),
        (None, "V100", 1, Level.WRONG),
    ],
)
def test_torch_is_judged_by_the_gpu_it_must_run_on(torch: str | None, gpu: str | None, gpus: int, level: Level) -> None:
    check = doctor.torch_for_gpu(torch, gpu, gpus)
    assert check.level == level
    assert bool(check.command) == (level != Level.OK)


def test_the_environment_of_the_jobs_is_asked_without_importing_torch(tmp_path: Path) -> None:
    venv = tmp_path / "venv" / "bin"
    venv.mkdir(parents=True)
    site = tmp_path / "site"
    for name, version in (("torch", "2.13.0"), ("kd_core", "0.1.0")):
        (site / f"{name}-{version}.dist-info").mkdir(parents=True)
        (site / f"{name}-{version}.dist-info" / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    (site / "torch").mkdir()
    (site / "torch" / "__init__.py").write_text("raise SystemExit('imported')")
    (venv / "python").write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} -S "$@"\n')
    (venv / "kd-core").touch()
    for file in venv.iterdir():
        file.chmod(0o755)
    text = CAMPAIGN.replace("gpus = 1", f'gpus = 1\ngpu_type = "V100"\nvenv = "{tmp_path / "venv"}"')
    checks = list(doctor.environment(place(tmp_path, text)))
    assert [check.level for check in checks] == [Level.OK, Level.WRONG]
    assert "2.13.0" in checks[1].finding
    (venv / "python").unlink()
    (broken,) = doctor.environment(place(tmp_path, text))
    assert broken.level == Level.WRONG


def test_data_that_is_missing_in_part_is_not_prepared(tmp_path: Path) -> None:
    prepare(tmp_path, "train_images.npy")
    (check,) = doctor.prepared_data(place(tmp_path))
    assert (check.level, check.command) == (Level.WRONG, "kd-core data prepare Digits")
    assert "test_images.npy" in check.finding
    (tmp_path / "data" / "Digits" / "manifest.json").write_text("[]")
    assert next(doctor.prepared_data(place(tmp_path))).level == Level.WRONG


def test_modules_are_loaded_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = CAMPAIGN.replace("gpus = 1", 'modules = ["chpc/python/3"]')
    assert next(doctor.modules(place(tmp_path, text))).level == Level.WRONG
    monkeypatch.setenv(
        "BASH_FUNC_module%%", '() { [ "$2" = chpc/python/3 ] || { echo "Unable to locate" >&2; return 1; }; }'
    )
    assert next(doctor.modules(place(tmp_path, text))).level == Level.OK
    other = next(doctor.modules(place(tmp_path, text.replace("python/3", "python/4"))))
    assert (other.level, other.command) == (Level.WRONG, "module avail chpc")


def test_a_file_system_with_broken_promises_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert next(doctor.file_system(place(tmp_path))).level == Level.OK
    assert [path.name for path in tmp_path.iterdir()] == ["trial.toml"], "nothing is left behind"

    def lying_link(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes())

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", lying_link)
        assert "rivals took one lock" in next(doctor.file_system(place(tmp_path))).finding

    def torn_replace(self: Path, target: Path) -> None:
        target.write_text("")
        target.write_text(self.read_text())

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", torn_replace)
        assert any(doctor._replaces_whole(tmp_path) for _ in range(50))


def test_a_full_disk_is_wrong_and_a_tight_one_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk(free: int) -> Level:
        monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": free}))
        return next(doctor.disk_space(place(tmp_path))).level

    assert [disk(10**9), disk(2 * 1024**3 + 10**7), disk(10**13)] == [Level.WRONG, Level.WARNING, Level.OK]


def test_held_out_images_are_recommended_to_who_has_none(tmp_path: Path) -> None:
    held_out = place(tmp_path, CAMPAIGN.replace("[resources]", "[recipe]\nvalidation = 100\n[resources]"))
    assert next(doctor.best_epoch(held_out)).finding == "chosen on 100 training images that are held out"
    for dataset, tenth in {"Cifar10": 5000, "SVHN": 7000, "Digits": 100}.items():
        here = place(tmp_path, re.sub("datasets = .*", f'datasets = ["{dataset}"]', CAMPAIGN))
        advice = next(doctor.best_epoch(here)).finding
        assert f"chosen on the test images, which flatters it; validation = {tenth}, say, under [recipe]" in advice


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_a_real_slurm_is_checked_and_takes_the_test_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = SlurmSite(tmp_path / "slurm")
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    try:
        site.start()
        here = place(tmp_path, CAMPAIGN.replace('"pbs"', '"slurm"').replace('project = "CSCI1166"', ""))
        checks = list(scheduler_checks(here))
        assert {check.name: check.level.value for check in checks} == {
            "scheduler": "ok",
            "job history": "warning",
            "queue": "ok",
            "GPUs": "ok",
        }
        assert submission(here, OwnJobs(SlurmScheduler(timeout=HANGS))).level == Level.OK
        assert SlurmScheduler(timeout=HANGS).look([]).listed == ()
    finally:
        site.stop()


def test_a_campaign_on_this_machine_needs_no_scheduler(tmp_path: Path) -> None:
    campaign = Campaign(name="x", datasets=("Digits",), teacher="ResNet20", student="ResNetBaby", seeds=(0,))
    checks = list(scheduler_checks(Place(campaign, tmp_path / "x.toml", tmp_path)))
    assert [check.level for check in checks] == [Level.OK]
