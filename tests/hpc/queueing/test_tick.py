"""A whole tick over many real run directories: what it costs, and that it is idempotent to the byte."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kd_hpc.campaign import Campaign
from kd_hpc.disk.files import publish
from kd_hpc.planning.decision import Action
from kd_hpc.queueing.evidence import Evidence, inspect_weights
from kd_hpc.queueing.runner import Runner
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.schedulers.base import Phase
from kd_hpc.schedulers.own_jobs import OwnJobs
from kd_hpc.simulation.cluster import Cluster
from kd_hpc.simulation.scheduler import SimScheduler
from kd_hpc.simulation.world import World
from kd_hpc.store import BEST, Store
from tests.hpc.standin import write_weights
from tests.hpc.support import calls_of, tiny_campaign


class Idle:
    """A job's program that goes on for ever."""

    def start(self) -> int | None:
        return None

    def work(self, seconds: float) -> int | None:
        return None

    def killed(self, line: str) -> None:
        pass


def runner(store: Store, campaign: Campaign) -> Runner:
    """On real directories, with a scheduler that answers at once."""
    cluster = Cluster(4, None, World(campaign).rng)
    scheduler = SimScheduler(cluster, lambda spec, job: Idle(), lambda spec: None, lambda what: None)
    return Runner(campaign, store, OwnJobs(scheduler), Evidence(store, store.root / ".kd" / "weights.json"))


def test_a_tick_costs_the_same_for_each_run_however_many_there_are(tmp_path: Path) -> None:
    """How long that takes: benchmarks/planner.py."""
    costs = []
    for seeds in (1, 4):
        ticking = runner(*trained(tmp_path / str(seeds), seeds))
        ticking.tick()
        costs.append(calls_of(ticking.tick) / (80 * seeds))
    few, many = costs
    assert many < 1.1 * few
    assert few < 1500


def test_a_tick_that_finds_nothing_to_do_changes_no_byte(tmp_path: Path) -> None:
    ticking = runner(*trained(tmp_path, seeds=1))
    assert len(ticking.tick().plan.decisions) == 80
    ticking.tick()
    before = fingerprint(tmp_path)
    assert not ticking.tick().acted
    assert fingerprint(tmp_path) == before


def trained(root: Path, seeds: int) -> tuple[Store, Campaign]:
    """80 runs a seed on disk, every pure one and a third of the others completed."""
    campaign = tiny_campaign(
        datasets=["Cifar10", "Cifar100", "SVHN", "TinyImageNet"],
        methods=["logit", "factor_transfer", "attention_transfer", "fitnets", "rkd", "nst"],
        alphas=[0.25, 0.5, 0.75],
        seeds=list(range(seeds)),
        scheduler={"kind": "pbs", "slots": 10},
    )
    store = Store(root)
    (root / ".kd").mkdir(parents=True)
    for number, experiment in enumerate(campaign.experiments()):
        attempt = Attempt(scheduler="pbs", job_id=f"old{number}.sim", ended_at=datetime.now(UTC), start_epoch=0)
        is_done = experiment.is_pure or number % 3 == 0
        state = State.COMPLETED if is_done else State.NOT_STARTED
        store.write(experiment, StatusRecord(state=state, epoch=3, epochs=3, attempts=(attempt,) * 3))
        if experiment.is_pure:
            publish(store.directory(experiment) / BEST, write_weights)
    return store, campaign


def fingerprint(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_submission_is_on_disk_before_the_scheduler_hears_of_it(tmp_path: Path) -> None:
    campaign = tiny_campaign(seeds=[0], methods=[], alphas=[], scheduler={"kind": "pbs", "slots": 1})
    store = Store(tmp_path)
    ticking = runner(store, campaign)
    teacher = campaign.experiments()[0]
    seen: list[tuple[str, State, str | None, list[Phase | None]]] = []

    def note(what: str) -> None:
        record = store.read(teacher)
        assert isinstance(record, StatusRecord) or record is None
        phases = [job.phase for job in ticking.scheduler.scheduler.cluster.jobs.values()]  # type: ignore[attr-defined]
        if record:
            seen.append((what, record.state, record.job_id, phases))

    ticking.scheduler.scheduler._step = note  # type: ignore[attr-defined]
    ticking.tick()
    assert seen == [
        ("before a submission", State.SUBMITTING, None, []),
        ("after a submission", State.SUBMITTING, None, [Phase.HELD]),
        ("before a release", State.QUEUED, "1.sim", [Phase.HELD]),
        ("after a release", State.QUEUED, "1.sim", [Phase.WAITING]),
    ]


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda content: content[: len(content) // 2], "no torch file"),
        (lambda content: content.replace(bytes(range(256)), bytes(256)), "damaged"),
        (lambda content: b"weights", "no torch file"),
        (lambda content: b"", "no torch file"),
    ],
)
def test_weights_that_torch_could_not_load_are_recognised_without_torch(
    tmp_path: Path, damage: object, word: str
) -> None:
    path = tmp_path / BEST
    publish(path, write_weights)
    assert inspect_weights(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    found = inspect_weights(path)
    assert word in found.problem
    assert not found.sha256
    assert inspect_weights(tmp_path / "missing").problem


def test_weights_are_looked_through_once_for_each_version_of_the_file(tmp_path: Path) -> None:
    campaign = tiny_campaign(seeds=[0])
    store = Store(tmp_path)
    (tmp_path / ".kd").mkdir()
    teacher = campaign.experiments()[0]
    path = store.create(teacher) / BEST
    publish(path, write_weights)
    cache = tmp_path / ".kd" / "weights.json"
    first = Evidence(store, cache)
    known = first.weights(teacher)
    first.keep()
    content, when = path.read_bytes(), path.stat()
    path.write_bytes(bytes(len(content)))
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))
    assert Evidence(store, cache).weights(teacher) == known
    os.utime(path)
    assert Evidence(store, cache).weights(teacher).problem
    cache.write_text("[")
    assert Evidence(store, cache).weights(teacher).problem


def test_a_new_campaign_on_an_old_tree_leaves_what_it_does_not_plan(tmp_path: Path) -> None:
    campaign = tiny_campaign(seeds=[0], scheduler={"kind": "pbs", "slots": 2})
    store = Store(tmp_path)
    stranger = campaign.experiments()[0].model_copy(update={"seed": 9})
    store.write(stranger, StatusRecord(state=State.IN_PROGRESS))
    before = (store.directory(stranger) / "status.json").read_bytes()
    report = runner(store, campaign).tick()
    assert [decision.action for decision in report.acted] == [Action.SUBMIT] * 2
    assert (store.directory(stranger) / "status.json").read_bytes() == before
