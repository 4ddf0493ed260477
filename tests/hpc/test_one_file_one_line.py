"""What a stranger adds is one file and one line: shown on a copy of the packages, with the programs as typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kd_hpc.records import State, StatusRecord
from kd_hpc.store import Store
from tests.hpc.support import CAMPAIGN, TEACHER, campaign_file, kd_hpc
from tests.paths import ROOT

SCHEDULER = '''
"""A scheduler of one's own: a job runs while it is released."""

import json
import subprocess
from pathlib import Path

from kd_hpc.schedulers.base import Gone, Identity, ListedJob, Live, Phase, Snapshot
from kd_hpc.schedulers.readiness import Check, Level
from kd_hpc.schedulers.script import job_script

LOOK_EVERY = 0.1


def make(campaign, control):
    return Inline(control / "inline")


def missing_line(campaign):
    return "" if campaign.resources.queue else 'queue = "NAME"'


def refused(directive):
    return ""


def kill_line(stderr):
    return None


def checks(place):
    yield Check("scheduler", Level.OK, "it is inline")


class Inline:
    kind, user, can_avoid_nodes, list_jobs = "inline", "me", False, "ls"

    def __init__(self, root):
        self.root = root

    def look(self, job_ids):
        names = {path.name: json.loads((path / "name").read_text()) for path in self.root.glob("*")}
        held = {job_id for job_id in names if not (self.root / job_id / "exit").exists()}
        seen = {job_id: Live(Phase.HELD) if job_id in held else self._ended(job_id) for job_id in job_ids}
        listed = tuple(ListedJob(job_id, names[job_id], Live(Phase.HELD)) for job_id in sorted(held))
        return Snapshot(seen, listed, identities={job_id: Identity(name, "me") for job_id, name in names.items()})

    def _ended(self, job_id):
        return Gone("it has run", int((self.root / job_id / "exit").read_text()))

    def submit_held(self, spec):
        job_id = spec.token
        (self.root / job_id).mkdir(parents=True)
        (self.root / job_id / "script").write_text(job_script(spec, "INLINE_ID"))
        (self.root / job_id / "name").write_text(json.dumps(spec.name))
        return job_id

    def release(self, job_ids):
        for job_id in job_ids:
            done = subprocess.run(["bash", self.root / job_id / "script"], env={"INLINE_ID": job_id}, check=False)
            (self.root / job_id / "exit").write_text(str(done.returncode))

    def cancel(self, job_ids):
        pass

    def wait(self, job_ids, seconds):
        pass
'''
CAUSE = '''
"""The machine room was flooded."""

from kd_hpc.diagnosis.case import Cause, Finding

FLOOD = Cause("flood", is_charged=False)


def witness(case):
    if "water" not in case.text:
        return None
    return Finding(FLOOD, "there is water in the machine room", "Dry it.")
'''


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A copy of kd-hpc's sources, found before the installed ones."""
    shutil.copytree(ROOT / "packages/kd-hpc/src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "src"


def test_a_scheduler_is_one_file_and_one_line(packages: Path, tmp_path: Path) -> None:
    (packages / "kd_hpc/schedulers/kinds/inline.py").write_text(SCHEDULER)
    catalogue = packages / "kd_hpc/catalogue.py"
    catalogue.write_text(catalogue.read_text().replace('"pbs", "slurm")', '"pbs", "slurm", "inline")'))
    text = CAMPAIGN.replace('kind = "local"', 'kind = "inline"')
    campaign_file(tmp_path, text)
    refused = kd_hpc("queue", "tiny.toml", cwd=tmp_path, PYTHONPATH=str(packages))
    assert (refused.returncode, 'queue = "NAME"' in refused.stderr) == (2, True), refused.stderr
    campaign_file(tmp_path, text.replace("[resources]", '[resources]\nqueue = "any"'))
    done = kd_hpc("queue", "tiny.toml", "--watch", cwd=tmp_path, PYTHONPATH=str(packages))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(kd_hpc("status", "tiny.toml", "--json", cwd=tmp_path, PYTHONPATH=str(packages)).stdout)["runs"]
    assert [row["state"] for row in rows] == ["completed"] * 6
    assert "it is inline" in kd_hpc("doctor", "tiny.toml", cwd=tmp_path, PYTHONPATH=str(packages)).stdout
    record = Store(tmp_path / "experiments").read(TEACHER)
    assert isinstance(record, StatusRecord)
    assert record.attempt
    assert record.attempt.scheduler == "inline"


def test_a_cause_of_death_is_one_file_and_one_line(packages: Path, tmp_path: Path) -> None:
    causes = packages / "kd_hpc/diagnosis/causes"
    (causes / "flood.py").write_text(CAUSE)
    order = causes.with_name("witnesses.py")
    order.write_text(order.read_text().replace('    "gpu_fault",\n', '    "flood",\n    "gpu_fault",\n'))
    store = Store(tmp_path / "experiments")
    store.write(TEACHER, StatusRecord(state=State.FAILED, experiment=TEACHER))
    (store.directory(TEACHER) / "errors").write_text("Traceback: the water rises\n")
    told = kd_hpc("diagnose", TEACHER.label, cwd=tmp_path, PYTHONPATH=str(packages))
    assert told.returncode == 0, told.stderr
    assert "cause    flood" in told.stdout
    assert "Dry it." in told.stdout
