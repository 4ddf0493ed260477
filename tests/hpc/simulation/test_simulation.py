"""Whole campaigns in worlds of faults, with the real planner and runner: the promises that must never break."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import kd_hpc.planning.planner
import kd_hpc.simulation.trainer
from kd_hpc.errors import Superseded
from kd_hpc.planning.decision import Action
from kd_hpc.planning.listed_jobs import ListedJobs, _Trained
from kd_hpc.planning.planner import _Planner
from kd_hpc.planning.situation import RunView
from kd_hpc.planning.teacher_readiness import Readiness
from kd_hpc.queueing.actions import Actions
from kd_hpc.queueing.runner import Runner
from kd_hpc.records import State, StatusRecord
from kd_hpc.schedulers.base import Gone, Phase, Unknown
from kd_hpc.simulation.campaigns import live_through, random_world
from kd_hpc.simulation.disk import SimStore
from kd_hpc.simulation.faults import CALM, Faults
from kd_hpc.simulation.scheduler import SimScheduler
from kd_hpc.simulation.trainer import Nature, SimStudent, SimTrainer, Violation
from kd_hpc.simulation.world import World
from tests.hpc.support import TEACHER, tiny_campaign


class Campaigns(RuleBasedStateMachine):
    """Any campaign; then any order of ticks, faults of any answer, kills, purges and jumps; then calm until the end."""

    world: World

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.world = random_world(seed)
        self.world.faults = CALM

    @rule()
    def tick(self) -> None:
        self.world.tick()

    @rule(step=st.integers(1, 20))
    def tick_of_a_runner_that_is_killed(self, step: int) -> None:
        self.world.tick_killed(step)

    @rule(step=st.integers(1, 20))
    def tick_during_which_the_world_goes_on(self, step: int) -> None:
        self.world.tick_interrupted(step)

    @rule(minutes=st.integers(1, 240))
    def pass_time(self, minutes: int) -> None:
        self.world.advance(60.0 * minutes)

    @rule(fault=st.sampled_from([name for name in vars(CALM) if name not in ("runner_death", "second_runner")]))
    def tick_with_a_fault(self, fault: str) -> None:
        self.world.faults = replace(CALM, **{fault: 1.0})
        self.world.tick()
        self.world.advance(60)
        self.world.faults = CALM

    @rule(choice=st.randoms(use_true_random=False))
    def kill_a_job(self, choice: Any) -> None:
        if running := [job for job in self.world.cluster.alive() if job.phase == Phase.RUNNING]:
            self.world.cluster.kill(choice.choice(running))

    @rule(choice=st.randoms(use_true_random=False))
    def delete_a_job_by_hand(self, choice: Any) -> None:
        if alive := list(self.world.cluster.alive()):
            self.world.cluster.delete(choice.choice(alive).job_id)

    @rule(choice=st.randoms(use_true_random=False))
    def purge_a_run_directory(self, choice: Any) -> None:
        self.world.purge(choice.choice(self.world.experiments))

    @rule(choice=st.randoms(use_true_random=False))
    def cancel_a_run(self, choice: Any) -> None:
        self.world.cancel(choice.choice(self.world.experiments))

    @rule(choice=st.randoms(use_true_random=False))
    def retry_a_run(self, choice: Any) -> None:
        self.world.retry(choice.choice(self.world.experiments))

    @rule(hours=st.integers(-1000, 1000))
    def set_the_clock(self, hours: int) -> None:
        self.world.jump_clock(timedelta(hours=hours))

    @rule()
    def submit_something_else(self) -> None:
        self.world.submit_stray()

    @rule(keeps=st.booleans())
    def switch_history(self, keeps: bool) -> None:
        self.world.scheduler.keeps_history = keeps

    @precondition(lambda self: self.world.cluster.queued_limit is not None)
    @rule(limit=st.integers(1, 8))
    def change_the_queue_s_limit(self, limit: int) -> None:
        self.world.cluster.queued_limit = limit

    @invariant()
    def promises_hold(self) -> None:
        if hasattr(self, "world"):
            self.world.require_promises()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.settle()


def examine(examples: int) -> None:
    run_state_machine_as_test(
        Campaigns,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_no_order_of_events_breaks_a_promise() -> None:
    examine(50)


@pytest.mark.long
def test_no_order_of_events_breaks_a_promise_in_a_thousand_campaigns() -> None:
    examine(1000)


@pytest.mark.parametrize("seed", range(50))
def test_random_campaigns_end_with_every_promise_kept(seed: int) -> None:
    live_through(random_world(seed))


@pytest.mark.long
@pytest.mark.parametrize("block", range(20))
def test_a_thousand_random_campaigns_end_with_every_promise_kept(block: int) -> None:
    for seed in range(1000 + 50 * block, 1050 + 50 * block):
        live_through(random_world(seed))


@pytest.mark.parametrize("seed", range(30))
def test_where_the_lock_fails_two_runners_give_no_run_two_writers(seed: int) -> None:
    world = random_world(seed, lock_holds=False)
    world.faults = replace(world.faults, second_runner=0.8)
    live_through(world)


def test_a_world_is_the_same_for_the_same_seed() -> None:
    first, second = (random_world(11) for _ in range(2))
    assert live_through(first) == live_through(second)
    assert first.disk.runs == second.disk.runs


def test_a_calm_campaign_submits_every_run_exactly_once() -> None:
    world = World(tiny_campaign(scheduler={"kind": "pbs", "slots": 3}), running_limit=2)
    world.settle()
    assert world.witness.starts == len(world.cluster.jobs) == 6


def test_a_runner_killed_after_any_step_loses_and_doubles_nothing() -> None:
    for step in range(1, 25):
        world = World(tiny_campaign(scheduler={"kind": "pbs", "slots": 3}), running_limit=2)
        for _ in range(12):
            world.tick_killed(step)
            world.advance(600)
        world.settle()
        assert world.witness.starts == 6, f"killed at step {step}"
        completed = [world.store.read(experiment) for experiment in world.experiments]
        assert all(isinstance(record, StatusRecord) and record.state == State.COMPLETED for record in completed)


SHARED: dict[str, Any] = {
    "seeds": [0],
    "methods": ["logit", "rkd", "nst"],
    "alphas": [0.25, 0.5],
    "students_per_job": 6,
    "recipe": {"epochs": 3},
    "scheduler": {"kind": "pbs", "slots": 3},
}


def test_six_students_in_one_job_are_each_trained_exactly_once() -> None:
    world = World(tiny_campaign(**SHARED), running_limit=2)
    assert {decision.action for decision in world.settle().decisions} == {Action.DONE}
    assert (world.witness.starts, len(world.cluster.jobs)) == (8, 3)


def test_a_kill_after_any_step_of_a_shared_submission_harms_no_run() -> None:
    for step in range(1, 40):
        world = World(tiny_campaign(**SHARED), running_limit=2)
        for _ in range(12):
            world.tick_killed(step)
            world.advance(600)
        world.settle()
        assert world.witness.starts == 8, f"killed at step {step}"
        completed = [world.store.read(experiment) for experiment in world.experiments]
        assert all(isinstance(record, StatusRecord) and record.state == State.COMPLETED for record in completed)


def test_a_student_that_kills_its_jobs_fails_alone() -> None:
    campaign = tiny_campaign(**SHARED)
    broken = campaign.experiments()[4]
    world = World(campaign, natures={broken: Nature(600, is_broken=True)})
    decisions = world.settle().decisions
    assert {d.experiment for d in decisions if d.action != Action.DONE} == {broken}
    failed = world.store.read(broken)
    assert isinstance(failed, StatusRecord)
    assert "ValueError: broken" in failed.reason
    assert runs_of_its_jobs(failed) == [6, 1, 1]


def runs_of_its_jobs(record: StatusRecord) -> list[int]:
    """How many runs each of its jobs had."""
    return [len(attempt.runs or ("",)) for attempt in record.attempts]


def test_a_student_stopped_by_its_watchdog_stops_no_other() -> None:
    campaign = tiny_campaign(**SHARED, resources={"walltime": "10:00:00"})
    stopped = campaign.experiments()[4]
    world = World(campaign, natures={stopped: Nature(600, stops_at=2)})
    while stopped not in world.witness.writers:
        world.tick()
        world.advance(600)
    job = world.witness.writers[stopped]
    while stopped in world.witness.writers:
        world.advance(600)
    world.natures[stopped] = Nature(600)
    world.retry(stopped)
    world.tick()
    world.advance(60)
    assert world.witness.writers[stopped] != job
    assert list(world.witness.writers.values()).count(job) == 5
    assert {decision.action for decision in world.settle().decisions} == {Action.DONE}
    assert len(world.cluster.jobs) == 4


def lose_records_of_a_shared_job(lost: slice) -> World:
    """A world whose shared job is at work when run directories of it vanish; it has gone on for a day since."""
    world = World(tiny_campaign(**SHARED | {"recipe": {"epochs": 100}}, resources={"walltime": "90:00:00"}))
    students = [run for run in world.experiments if not run.is_pure]
    while students[0] not in world.witness.writers:
        world.tick()
        world.advance(600)
    for run in students[lost]:
        world.purge(run)
    for _ in range(24):
        world.tick()
        world.advance(5)
        world.require_promises()
    return world


@pytest.mark.parametrize("lost", [slice(1), slice(1, 2), slice(1, 6), slice(6)], ids=["first", "one", "rest", "all"])
def test_runs_whose_records_were_lost_wait_for_the_job_that_they_share(lost: slice) -> None:
    world = lose_records_of_a_shared_job(lost)
    assert len(world.cluster.jobs) == 3
    waiting = [decision for decision in world.look().decisions if decision.action == Action.WAIT]
    assert all("a job of it that its record does not know" in decision.reason for decision in waiting)
    assert len(waiting) == len(range(6)[lost])


def test_if_only_the_named_run_waited_the_others_would_have_two_writers() -> None:
    with broken(_Trained, "by", lambda self, name: [run for tag, run in self.by_tag.items() if tag == name.tag]):
        for lost in (slice(1, 2), slice(6)):
            with pytest.raises(Violation):
                lose_records_of_a_shared_job(lost)


def test_cancelling_a_student_lets_its_jobmates_go_on_together_uncharged() -> None:
    world = World(tiny_campaign(**SHARED))
    cancelled, *others = [run for run in world.experiments if not run.is_pure]
    while cancelled not in world.witness.writers:
        world.tick()
        world.advance(60)
    world.cancel(cancelled)
    decisions = world.settle().decisions
    assert {d.experiment for d in decisions if d.action != Action.DONE} == {cancelled}
    for run in others:
        record = world.store.read(run)
        assert isinstance(record, StatusRecord)
        first, second = record.attempts
        assert (first.cause, first.charged, len(second.runs or ())) == ("deleted", False, 5)
        assert cancelled.label in str(first.detail)


def test_one_fault_of_every_kind_in_every_tick_only_delays() -> None:
    answers = ("lost_answer", "lost_request", "late_request", "refusal", "hung", "unsure", "unlisted", "deaf")
    for name in (*answers, "lost_node", "reused_id", "renamed", "skew"):
        world = World(tiny_campaign(), seed=5, faults=Faults(**{name: 0.7}), running_limit=2)
        assert set(live_through(world).values()) == {"done"}, name


def world_with_a_ghost() -> tuple[World, SimStudent]:
    """A teacher's job that the server gave up and that works on; its walltime is over by the runner's clock alone."""
    world = World(tiny_campaign(), seed=1, running_limit=1, natures={TEACHER: Nature(epoch_seconds=250)})
    world.tick()
    world.advance(60)
    (job,) = (job for job in world.cluster.alive() if job.phase == Phase.RUNNING)
    world.cluster.lose(job)
    assert isinstance(job.program, SimTrainer)
    (student,) = job.program.open_students
    return world, student


def test_a_job_lost_with_its_node_is_left_alone_while_it_may_live() -> None:
    world, ghost = world_with_a_ghost()
    world.tick()
    record = world.store.read(ghost.experiment)
    assert isinstance(record, StatusRecord)
    assert len(record.attempts) == 1
    assert ghost.is_open


def test_a_job_lost_with_its_node_that_is_taken_over_writes_nothing_more() -> None:
    world, ghost = world_with_a_ghost()
    world.jump_clock(timedelta(hours=1000))
    world.tick()
    record = world.store.read(ghost.experiment)
    assert isinstance(record, StatusRecord)
    assert [attempt.job_id for attempt in record.attempts][1:], "another job was submitted"
    world.advance(3600)
    assert not ghost.is_open
    world.settle()
    record = world.store.read(ghost.experiment)
    assert isinstance(record, StatusRecord)
    assert record.state == State.COMPLETED
    assert len(record.attempts) == 2


# The judge must be able to find somebody guilty: each of these breaks one rule of the protocol.


@contextmanager
def broken(owner: Any, name: str, replacement: Any) -> Iterator[None]:
    whole = getattr(owner, name)
    setattr(owner, name, replacement)
    try:
        yield
    finally:
        setattr(owner, name, whole)


def _unknown_is_gone(self: SimScheduler, job_id: str, whole: Callable[..., Any] = SimScheduler._observe) -> Any:
    seen = whole(self, job_id)
    return Gone("a guess") if isinstance(seen, Unknown) else seen


def _never_release_later(self: _Planner, run: Any, record: Any, whole: Callable[..., Any] = _Planner._with_job) -> Any:
    decision = whole(self, run, record)
    released = getattr(decision, "action", None) == Action.RELEASE
    return replace(decision, action=Action.LEAVE) if released else decision


def _without_orphans(self: ListedJobs, situation: Any, whole: Callable[..., None] = ListedJobs.__init__) -> None:
    whole(self, situation)
    self.orphans = {}


def _anything_goes(record: StatusRecord | None, job: Any) -> None:
    if record is None:
        raise Superseded("no record")


def _whatever_was_before(
    self: SimStore, run: Any, record: StatusRecord, whole: Callable[..., Any] = SimStore.write, **words: Any
) -> Any:
    before = self.read(run)
    known = before.revision if isinstance(before, StatusRecord) else record.revision
    return whole(self, run, record.model_copy(update={"revision": known}), **words)


CRIMES: dict[str, list[tuple[Any, str, Any]]] = {
    "an unknown job is taken for a dead one": [(SimScheduler, "_observe", _unknown_is_gone)],
    "records are neither read again after a death nor before a write": [
        (Runner, "_view", lambda self, run, record, *, is_dead: RunView(run, record)),
        (Actions, "_changes_record", lambda self, decision: False),
        (SimStore, "write", _whatever_was_before),
    ],
    "students do not wait": [
        (kd_hpc.planning.planner, "teacher_readiness", lambda situation, run: Readiness(sha256="x"))
    ],
    "forks do not wait for their parents": [(kd_hpc.planning.planner, "parent_obstacle", lambda situation, run: None)],
    "slots are not counted": [(_Planner, "_obstacle", lambda self, slots, made: "")],
    "replaced jobs are not deleted": [(ListedJobs, "surplus", lambda self: ())],
    "a recorded held job is not released": [(_Planner, "_with_job", _never_release_later)],
    "a job whose record was lost is doubled": [(ListedJobs, "__init__", _without_orphans)],
    "deaths are not counted": [(kd_hpc.planning.planner, "after_death", lambda *facts: None)],
}


TEMPTATIONS: dict[str, dict[str, float]] = {
    "a job whose record was lost is doubled": {"purge": 0.3},
    "records are neither read again after a death nor before a write": {"second_runner": 0.8},
}
"""Faults that are to be frequent, so that few worlds are enough for a crime to be committed."""
WORLDS = 400


def live_through_many(
    faults: Mapping[str, float], *, lock_holds: bool = True, is_fenced: bool = True, first: int = 0
) -> None:
    """All WORLDS, the one with seed `first` before the others: where a crime is rare, one in which it was seen."""
    for seed in (*range(first, WORLDS), *range(first)):
        world = random_world(seed, lock_holds=lock_holds)
        world.disk.is_fenced = is_fenced
        world.faults = replace(world.faults, **faults)
        live_through(world)


@pytest.mark.parametrize("name", CRIMES)
def test_a_broken_protocol_is_found_out(name: str) -> None:
    with ExitStack() as stack:
        for owner, attribute, replacement in CRIMES[name]:
            stack.enter_context(broken(owner, attribute, replacement))
        with pytest.raises((Violation, KeyError, AssertionError)):
            live_through_many(TEMPTATIONS.get(name, {}))


def test_without_both_fences_a_failing_lock_gives_a_run_two_writers() -> None:
    with broken(kd_hpc.simulation.trainer, "require_recorded", _anything_goes), pytest.raises(Violation):
        live_through_many({"second_runner": 0.8}, lock_holds=False, is_fenced=False, first=72)


def live_through_many_without_rooms() -> None:
    for seed in range(100):
        world = random_world(seed)
        world.disk.is_fenced = False
        world.faults = replace(world.faults, lost_node=0.5, clock_jump=0.5, skew=1.0)
        live_through(world)


def test_without_the_fence_of_directories_a_lost_node_gives_a_run_two_writers() -> None:
    with pytest.raises(Violation, match=r"is written by jobs \S+ and \S+ at once"):
        live_through_many_without_rooms()
