"""The Slurm scheduler against a real slurmctld and slurmd that these tests start."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd_hpc.campaign_file.resources import Resources
from kd_hpc.diagnosis.diagnose import diagnose
from kd_hpc.errors import SchedulerUnreachable, SubmissionRefused, SubmissionUncertain
from kd_hpc.planning.decision import Action
from kd_hpc.queueing.actions import Trainer
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.runner import Runner
from kd_hpc.schedulers.base import Gone, JobSpec, Live, Observation, Phase, Unknown
from kd_hpc.schedulers.own_jobs import OwnJobs
from kd_hpc.schedulers.readiness import Level
from kd_hpc.schedulers.slurm.doctor import partition_checks
from kd_hpc.schedulers.slurm.scheduler import SlurmScheduler
from kd_hpc.store import Store
from tests.hpc.slurmsite import SlurmSite, why_not
from tests.hpc.support import HANGS, PURE, STUDENT, TEACHER, standin_venv, tiny_campaign, wait_until
from tests.paths import ROOT

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())
ASKS = Resources(walltime="00:05:00", cores=1, memory="100mb", gpus=1, queue="gpu_1")


@pytest.fixture(scope="session")
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmSite]:
    site = SlurmSite(tmp_path_factory.mktemp("slurm") / "site")
    try:
        site.start()
        yield site
    finally:
        site.stop()


@pytest.fixture
def site(running_site: SlurmSite, monkeypatch: pytest.MonkeyPatch) -> SlurmSite:
    for name, value in running_site.environment.items():
        monkeypatch.setenv(name, value)
    return running_site


@pytest.fixture
def slurm(site: SlurmSite) -> Iterator[SlurmScheduler]:
    scheduler = SlurmScheduler(timeout=HANGS)
    yield scheduler
    scheduler.cancel([job.job_id for job in scheduler.look([]).listed or ()])


def spec(directory: Path, token: str = "tokA", shell: str = "true", resources: Resources = ASKS) -> JobSpec:
    directory.mkdir(parents=True, exist_ok=True)
    return JobSpec(f"kd-{token}", token, ["bash", "-c", shell], directory, resources)


def ended(slurm: SlurmScheduler, job_id: str, seconds: float = HANGS) -> Gone:
    deadline = time.monotonic() + seconds
    seen: Observation = Unknown("never looked")
    while time.monotonic() < deadline:
        seen = slurm.look([job_id]).of(job_id)
        if isinstance(seen, Gone):
            return seen
        time.sleep(0.1)
    raise AssertionError(f"{job_id} did not end within {seconds} s: {seen}")


def test_a_submitted_job_is_held_listed_and_runs_only_after_release(slurm: SlurmScheduler, tmp_path: Path) -> None:
    run = tmp_path / "100%j run"
    job_id = slurm.submit_held(spec(run, shell="echo out; echo err >&2; echo $KD_TOKEN $SLURM_JOB_ID"))
    snapshot = slurm.look([job_id])
    assert snapshot.unreachable == ""
    assert snapshot.of(job_id) == Live(Phase.HELD, "PENDING (JobHeldUser)")
    assert [(job.job_id, job.name) for job in snapshot.listed or ()] == [(job_id, "kd-tokA")]
    slurm.release([job_id, "99999"])
    slurm.release([job_id])
    gone = ended(slurm, job_id)
    assert (gone.exit_status, gone.comment) == (0, "JobState=COMPLETED")
    assert (run / "logs").read_text() == f"== kd job tokA ==\nout\ntokA {job_id}\n"
    assert (run / "errors").read_text() == "== kd job tokA ==\nerr\n"
    assert slurm.look([job_id]).listed == ()


def test_an_exit_status_and_a_signal_are_told_and_diagnosed(slurm: SlurmScheduler, tmp_path: Path) -> None:
    failing = slurm.submit_held(spec(tmp_path / "one", "one", "echo 'no data' >&2; exit 3"))
    killed = slurm.submit_held(spec(tmp_path / "two", "two", "kill -9 $$"))
    slurm.release([failing, killed])
    gone = ended(slurm, failing)
    assert gone.exit_status == 3
    diagnosis = diagnose(gone, (tmp_path / "one" / "errors").read_text(), token="one")
    assert (diagnosis.cause.name, "no data" in diagnosis.detail) == ("error", True)
    assert diagnose(ended(slurm, killed), "").cause.name == "signal"


def test_a_job_the_controller_forgot_is_gone_on_its_word_about_that_id(
    site: SlurmSite, slurm: SlurmScheduler, tmp_path: Path
) -> None:
    never = slurm.look(["99999"]).of("99999")
    assert never == Gone("scontrol show job 99999: slurm_load_jobs error: Invalid job id specified")
    assert all(
        isinstance(slurm.look([other]).of(other), Unknown) for other in ("7002781.sched01", "", "-u", "0", "1 2")
    )


def test_deleted_jobs_are_gone_and_diagnosed_as_deleted(slurm: SlurmScheduler, tmp_path: Path) -> None:
    running, held = (slurm.submit_held(spec(tmp_path / token, token, "sleep 3600")) for token in ("run", "hold"))
    slurm.release([running])
    wait_until(lambda: slurm.look([running]).of(running) == Live(Phase.RUNNING, "RUNNING (None)"))
    slurm.cancel([running, held, "99999"])
    assert diagnose(ended(slurm, held), "").cause.name == "deleted"
    assert diagnose(ended(slurm, running), "").cause.name == "deleted"


def test_a_refused_submission_made_no_job_and_says_what_to_do(slurm: SlurmScheduler, tmp_path: Path) -> None:
    with pytest.raises(SubmissionRefused, match="Invalid partition name") as refusal:
        slurm.submit_held(spec(tmp_path / "run", resources=ASKS.model_copy(update={"queue": "nosuch"})))
    assert "sinfo" in refusal.value.remedy
    assert slurm.look([]).listed == ()


@pytest.mark.parametrize("change", [{"memory": "900gb"}, {"gpus": 5}, {"walltime": "99:00:00"}, {"cores": 77}], ids=str)
def test_slurm_takes_a_job_that_can_never_run_and_shows_the_reason(
    slurm: SlurmScheduler, tmp_path: Path, change: dict[str, object]
) -> None:
    job_id = slurm.submit_held(spec(tmp_path / "run", resources=ASKS.model_copy(update=change)))
    slurm.release([job_id])
    deadline = time.monotonic() + HANGS
    while (seen := slurm.look([job_id]).of(job_id)) == Live(Phase.WAITING, "PENDING (None)"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert isinstance(seen, Live)
    assert seen.phase in (Phase.WAITING, Phase.HELD)
    assert "None" not in seen.detail


def test_the_job_gets_what_it_asked_for_and_not_this_environment(
    site: SlurmSite, slurm: SlurmScheduler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KD_SECRET", "not for the job")
    more = {"gpu_type": "v100", "directives": ("--nice=7", "--exclusive", "-C gpus")}
    asked = spec(tmp_path / "run", shell="env", resources=ASKS.model_copy(update=more))
    (tmp_path / "run" / "logs").write_text("an earlier attempt\n")
    job_id = slurm.submit_held(asked)
    shown = site.run("scontrol", "show", "job", job_id)
    for word in (
        "TimeLimit=00:05:00",
        "MinMemoryNode=100M",
        "Partition=gpu_1",
        "Requeue=0",
        "gres:gpu:v100:1",
        "Nice=7",
        "OverSubscribe=NO",
        "Features=gpus",
        "Comment=tokA",
    ):
        assert word in shown
    slurm.release([job_id])
    ended(slurm, job_id)
    environment = (tmp_path / "run" / "logs").read_text()
    assert environment.startswith("an earlier attempt\n== kd job tokA ==\n")
    assert "KD_TOKEN=tokA" in environment
    assert "KD_SECRET" not in environment


@pytest.mark.parametrize(
    ("asks", "level", "words"),
    [
        ({}, Level.OK, "of any type"),
        ({"gpu_type": "v100"}, Level.OK, "of type v100"),
        ({"gpu_type": "V100"}, Level.WRONG, "types there: v100"),
    ],
)
def test_the_doctor_holds_the_gpus_against_what_the_partition_has(
    site: SlurmSite, asks: dict[str, str], level: Level, words: str
) -> None:
    printed = site.run("sinfo", "-h", "-o", "%R %a %l %G", "-p", "gpu_1")
    *_, found = partition_checks(printed, ASKS.model_copy(update=asks))
    assert (found.name, found.level) == ("GPUs", level)
    assert words in found.finding


def test_a_controller_restart_between_hold_and_release_harms_no_job(site: SlurmSite, tmp_path: Path) -> None:
    job_id = SlurmScheduler(timeout=HANGS).submit_held(spec(tmp_path / "run", "tokR", "echo once"))
    slurm = SlurmScheduler(timeout=0.4)
    site.stop_daemon("slurmctld")
    try:
        snapshot = slurm.look([job_id])
        assert isinstance(snapshot.of(job_id), Unknown)
        assert snapshot.listed is None
        assert snapshot.unreachable
        with pytest.raises(SubmissionUncertain):
            slurm.submit_held(spec(tmp_path / "other", "tokS"))
        for verb in (slurm.release, slurm.cancel):
            with pytest.raises(SchedulerUnreachable):
                verb([job_id])
    finally:
        site.start_daemon("slurmctld")
        site.wait_until("idle", "sinfo", "-h", "-o", "%T")
    slurm = SlurmScheduler(timeout=HANGS)
    assert [job.name for job in slurm.look([]).listed or ()] == ["kd-tokR"]
    slurm.release([job_id])
    assert ended(slurm, job_id).exit_status == 0
    assert (tmp_path / "run" / "logs").read_text().count("once") == 1


def test_a_small_campaign_goes_through_the_real_runner(slurm: SlurmScheduler, tmp_path: Path) -> None:
    asks = {"walltime": "00:05:00", "memory": "400mb", "queue": "gpu_1"}
    campaign = tiny_campaign(seeds=[0], scheduler={"kind": "slurm", "slots": 2}, resources=asks)
    store = Store(tmp_path / "experiments")
    program = str(standin_venv(tmp_path / "venv") / "bin" / "kd-core")
    runner = Runner(campaign, store, OwnJobs(slurm), Evidence(store, tmp_path / "weights"), Trainer(program))
    deadline = time.monotonic() + HANGS
    while not all(decision.action == Action.DONE for decision in runner.tick().plan.decisions):
        assert time.monotonic() < deadline
        time.sleep(0.3)
    for run in (TEACHER, PURE, STUDENT):
        assert (store.directory(run) / "logs").read_text().count("== kd job ") == 1


@pytest.mark.long
def test_the_commands_of_the_slurm_page_work_in_their_order(site: SlurmSite, tmp_path: Path) -> None:
    page = (ROOT / "docs/guide/first-day-on-slurm.md").read_text()
    blocks = re.findall(r"^```(\S+)\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    mine = next(text for kind, text in blocks if kind == "toml-site").replace('"gpu"', '"gpu_1"')
    (tmp_path / "site.toml").write_text(f'{mine}venv = "{standin_venv(tmp_path / "venv")}"\n')
    (tmp_path / "venv/bin/python").symlink_to(sys.executable)
    campaign = (ROOT / "campaigns/digits-slurm.toml").read_text().replace('"4gb"', '"100mb"').replace("# gpu_type", "#")
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns/digits-slurm.toml").write_text(campaign)
    (tmp_path / "data/Digits").mkdir(parents=True)
    (tmp_path / "data/Digits/manifest.json").write_text('{"files": {}}')
    lines = [line for kind, text in blocks if kind == "sh-slurm" for line in text.splitlines()]
    typed = [line for line in lines if line.startswith(("kd-hpc", "squeue"))]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "USER": "root"}
    for line in typed:
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HANGS,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
    assert len(typed) == 6
    job_id = str(Store(tmp_path / "experiments").read(TEACHER).job_id)  # type: ignore[union-attr]
    shown = site.run("scontrol", "show", "job", job_id)
    for word in ("Partition=gpu_1", "Account=physics", "CPUs/Task=2", "TimeLimit=00:30:00", "gres:gpu:1"):
        assert word in shown


@pytest.mark.long
def test_a_walltime_kill_is_diagnosed(slurm: SlurmScheduler, tmp_path: Path) -> None:
    asks = ASKS.model_copy(update={"walltime": "00:00:30"})
    job_id = slurm.submit_held(spec(tmp_path / "run", shell="sleep 600", resources=asks))
    slurm.release([job_id])
    gone = ended(slurm, job_id)
    assert "JobState=TIMEOUT" in gone.comment
    for evidence, text in ((gone, ""), (None, (tmp_path / "run" / "errors").read_text())):
        assert diagnose(evidence, text).cause.name == "walltime"
