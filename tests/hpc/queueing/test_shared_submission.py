"""One submission for several runs, step by step on real run directories: what is on disk when, and after a failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from kd_hpc.disk.files import publish
from kd_hpc.experiment import Experiment
from kd_hpc.queueing.evidence import Evidence
from kd_hpc.queueing.runner import Runner
from kd_hpc.records import State, StatusRecord
from kd_hpc.schedulers.base import JobSpec, Phase, Snapshot
from kd_hpc.schedulers.job_names import parse_job_name, tag
from kd_hpc.schedulers.own_jobs import OwnJobs
from kd_hpc.simulation.cluster import Cluster, Program, SimJob
from kd_hpc.simulation.faults import Faults
from kd_hpc.simulation.scheduler import SimScheduler
from kd_hpc.store import BEST, Store
from tests.hpc.standin import write_weights
from tests.hpc.support import PURE, STUDENT, TEACHER, tiny_campaign

STUDENTS = [STUDENT.model_copy(update={"method": method}) for method in ("logit", "rkd", "nst")]


class Idle:
    """A job's program that goes on for ever."""

    def start(self) -> int | None:
        return None

    def work(self, seconds: float) -> int | None:
        return None

    def killed(self, line: str) -> None:
        pass


class Site:
    """A finished teacher and pure student, three students to be submitted, and a scheduler that notes what it hears."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        (folder / ".kd").mkdir()
        for run in (TEACHER, PURE):
            self.store.write(run, StatusRecord(state=State.COMPLETED, epoch=3, epochs=3))
            publish(self.store.directory(run) / BEST, write_weights)
        self.cluster = Cluster(4, None, Random(0))
        self.heard: list[str] = []
        self.released: list[list[str]] = []
        self.at_step: Callable[[str], None] = lambda what: None
        self.scheduler = SimScheduler(self.cluster, self.program, lambda spec: None, self.hear)
        release = self.scheduler.release

        def noted(job_ids: Sequence[str]) -> None:
            self.released.append(list(job_ids))
            release(job_ids)

        self.scheduler.release = noted  # type: ignore[method-assign]
        campaign = tiny_campaign(
            seeds=[0], methods=["logit", "rkd", "nst"], students_per_job=3, scheduler={"kind": "pbs", "slots": 4}
        )
        evidence = Evidence(self.store, folder / ".kd" / "weights.json")
        self.runner = Runner(campaign, self.store, OwnJobs(self.scheduler), evidence)

    def program(self, spec: JobSpec, job: SimJob) -> Program:
        return Idle()

    def hear(self, what: str) -> None:
        self.heard.append(what)
        self.at_step(what)

    def record(self, run: Experiment) -> StatusRecord:
        found = self.store.read(run)
        assert isinstance(found, StatusRecord)
        return found

    def states(self) -> list[State]:
        return [self.record(run).state for run in STUDENTS]

    @property
    def jobs(self) -> list[SimJob]:
        return list(self.cluster.jobs.values())


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_all_intents_precede_one_submission_and_all_ids_one_release(site: Site) -> None:
    seen: list[tuple[str, set[State], set[str | None]]] = []

    def note(what: str) -> None:
        if what != "before a look":
            seen.append((what, set(site.states()), {site.record(run).job_id for run in STUDENTS}))

    site.at_step = note
    report = site.runner.tick()
    assert seen == [
        ("before a submission", {State.SUBMITTING}, {None}),
        ("after a submission", {State.SUBMITTING}, {None}),
        ("before a release", {State.QUEUED}, {"1.sim"}),
        ("after a release", {State.QUEUED}, {"1.sim"}),
    ]
    assert site.released == [["1.sim"]]
    assert report.jobs == ("1.sim",)
    assert len(report.acted) == 3


def test_the_job_carries_its_leaders_tag_and_the_others_beside_it(site: Site) -> None:
    site.runner.tick()
    (job,) = site.jobs
    assert job.spec is not None
    name = parse_job_name(job.name)
    assert name == (tag(site.runner.root, STUDENTS[0]), site.record(STUDENTS[0]).attempts[-1].token, True)
    words = list(job.spec.command)
    assert words[words.index("--method") + 1] == "logit"
    assert [words[place + 1] for place, word in enumerate(words) if word == "--beside"] == ["rkd:0.5", "nst:0.5"]
    assert job.spec.directory == site.store.directory(STUDENTS[0])
    assert [len(site.record(run).attempts) for run in STUDENTS] == [1, 1, 1]
    assert {site.record(run).attempts[0].runs for run in STUDENTS} == {tuple(run.label for run in STUDENTS)}


def test_a_refused_submission_puts_every_record_back(site: Site) -> None:
    before = [site.store.read(run) for run in STUDENTS]
    site.scheduler.faults = Faults(refusal=1.0)
    report = site.runner.tick()
    assert report.refused
    assert before == [None] * 3
    assert site.states() == [State.NOT_STARTED] * 3
    assert not any(site.record(run).attempts for run in STUDENTS)


@pytest.mark.parametrize(("fault", "jobs"), [("lost_answer", 1), ("lost_request", 2)])
def test_an_uncertain_submission_is_settled_for_all_by_the_next_tick(site: Site, fault: str, jobs: int) -> None:
    site.scheduler.faults = Faults(**{fault: 1.0})
    assert site.runner.tick().exit_code == 75
    assert site.states() == [State.SUBMITTING] * 3
    site.scheduler.faults = Faults()
    site.runner.tick()
    (job,) = site.jobs
    assert job.phase == Phase.WAITING
    assert {site.record(run).job_id for run in STUDENTS} == {job.job_id}
    assert [len(site.record(run).attempts) for run in STUDENTS] == [jobs] * 3


@pytest.mark.parametrize("changed", [0, 1], ids=["who leads", "another"])
def test_a_run_that_changed_while_planned_is_left_out_and_the_next_leads(site: Site, changed: int) -> None:
    foreign = StatusRecord(state=State.IN_PROGRESS, reason="somebody else's")
    whole = site.runner.look

    def look_and_change() -> object:
        situation = whole()
        site.store.write(STUDENTS[changed], foreign)
        return situation

    site.runner.look = look_and_change  # type: ignore[method-assign, assignment]
    report = site.runner.tick()
    others = [run for run in STUDENTS if run != STUDENTS[changed]]
    assert report.problems == (f"{STUDENTS[changed].label} changed while it was planned: left for the next tick.",)
    assert site.record(STUDENTS[changed]).reason == "somebody else's"
    assert {site.record(run).attempts[0].runs for run in others} == {tuple(run.label for run in others)}
    (job,) = site.jobs
    assert parse_job_name(job.name) == (
        tag(site.runner.root, others[0]),
        site.record(others[0]).attempts[0].token,
        True,
    )


def test_runs_of_one_job_are_asked_for_and_released_once(site: Site) -> None:
    asked: list[list[str]] = []
    look = site.scheduler.look

    def noted(job_ids: Sequence[str]) -> Snapshot:
        asked.append(list(job_ids))
        return look(job_ids)

    site.scheduler.look = noted  # type: ignore[method-assign]
    site.scheduler.faults = Faults(deaf=1.0)
    site.runner.tick()
    site.scheduler.faults = Faults()
    report = site.runner.tick()
    assert asked == [[], ["1.sim"]]
    assert site.released == [["1.sim"], ["1.sim"]]
    assert report.plan.in_use == 1
