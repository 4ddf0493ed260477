"""The planner, rule by rule: situation in, decision and reason out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_hpc.campaign import Campaign
from kd_hpc.experiment import Experiment
from kd_hpc.planning.decision import Action, Decision, Plan
from kd_hpc.planning.planner import plan
from kd_hpc.planning.situation import RunView, Situation, Weights
from kd_hpc.recipe import Recipe
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.schedulers.base import (
    Exceeded,
    Gone,
    Limits,
    ListedJob,
    Live,
    Lost,
    NodeFault,
    Observation,
    Obstacle,
    Phase,
    Snapshot,
    Unknown,
)
from kd_hpc.schedulers.job_names import job_name, new_token, parse_job_name, tag
from kd_hpc.schedulers.own_jobs import JobRef
from kd_hpc.store import Unreadable
from tests.hpc.support import PURE, STUDENT, TEACHER, calls_of, tiny_campaign

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ROOT = "/home/user/experiments"


def record(state: State, *, scheduler: str = "pbs", job_id: str | None = "7.vm", **fields: Any) -> StatusRecord:
    attempt_fields = {name: fields.pop(name) for name in list(fields) if name in Attempt.model_fields}
    attempt = Attempt(scheduler=scheduler, job_id=job_id, **{"token": "abcdefgh", "memory": "4gb"} | attempt_fields)
    return StatusRecord(state=state, attempts=fields.pop("attempts", (attempt,)), epochs=3, **fields)


def completed(**fields: Any) -> StatusRecord:
    return record(State.COMPLETED, epoch=3, ended_at=NOW, **fields)


def listed(job_id: str, name: str = "someone", phase: Phase = Phase.RUNNING, queue: str = "") -> ListedJob:
    return ListedJob(job_id, name, Live(phase, phase.value), queue)


def planned(
    records: dict[Experiment, Any] | None = None,
    *,
    jobs: Mapping[str, Observation] | None = None,
    listed_jobs: tuple[ListedJob, ...] | None = (),
    limits: Limits = Limits(),
    weights: Weights | None = Weights("aa"),
    campaign: Campaign | None = None,
    views: dict[str, Any] | None = None,
    closed: Obstacle | None = None,
    **facts: Any,
) -> Plan:
    campaign = campaign or tiny_campaign(seeds=[0], scheduler={"kind": "pbs", "slots": 2})
    runs = []
    for experiment in campaign.experiments():
        found = (records or {}).get(experiment)
        is_completed = isinstance(found, StatusRecord) and found.state == State.COMPLETED
        runs.append(RunView(experiment, found, weights=weights if is_completed else None, **(views or {})))
    snapshot = Snapshot(jobs or {}, listed_jobs, limits, closed=closed)
    return plan(Situation(campaign, ROOT, campaign.scheduler.kind, tuple(runs), snapshot, NOW, **facts))


def decision(plan: Plan, experiment: Experiment) -> Decision:
    return next(found for found in plan.decisions if found.experiment == experiment)


def decide(experiment: Experiment, found: Any, **facts: Any) -> Decision:
    return decision(planned({experiment: found}, **facts), experiment)


# Who may start


def test_a_new_campaign_submits_teachers_first_and_students_wait() -> None:
    campaign = tiny_campaign(seeds=[1, 0], scheduler={"kind": "pbs", "slots": 3})
    found = planned(campaign=campaign)
    order = [(d.experiment.student, d.experiment.seed, d.action) for d in found.decisions]
    assert order == [
        ("ResNet20", 0, Action.SUBMIT),
        ("ResNet20", 1, Action.SUBMIT),
        ("ResNetBaby", 0, Action.SUBMIT),
        ("ResNetBaby", 0, Action.WAIT),
        ("ResNetBaby", 1, Action.WAIT),
        ("ResNetBaby", 1, Action.WAIT),
    ]
    assert "its teacher Digits/pure/ResNet20/0 is not completed yet" in decision(found, STUDENT).reason


def test_a_run_completed_with_another_recipe_is_none_of_this_campaign() -> None:
    found = planned({TEACHER: completed(recipe=Recipe(epochs=9).model_dump(mode="json"))})
    assert decision(found, TEACHER).action == decision(found, STUDENT).action == Action.BLOCK
    assert "completed with another recipe (epochs 9, now 3)" in decision(found, TEACHER).reason
    assert f"its teacher {TEACHER.label} was trained with another recipe" in decision(found, STUDENT).reason
    assert decision(found, PURE).action == Action.SUBMIT


def test_a_student_of_a_completed_teacher_starts_with_that_teacher_s_hash() -> None:
    found = planned({TEACHER: completed()})
    assert decision(found, STUDENT).action == Action.SUBMIT
    assert decision(found, STUDENT).teacher_sha256 == "aa"
    assert decision(found, PURE).teacher_sha256 is None


@pytest.mark.parametrize(
    ("teacher", "word"),
    [
        (record(State.SUSPECT, reason="at chance level", ended_at=NOW), "suspect: at chance level"),
        (record(State.FAILED, reason="watchdog", ended_at=NOW), "failed: watchdog"),
        (Unreadable(Path("status.json"), "torn"), "unreadable"),
    ],
)
def test_a_student_of_a_flagged_teacher_is_blocked_with_the_reason(teacher: Any, word: str) -> None:
    found = decision(planned({TEACHER: teacher}), STUDENT)
    assert found.action == Action.BLOCK
    assert word in found.reason
    assert found.remedy


def test_a_teacher_whose_weights_do_not_load_gets_no_students() -> None:
    found = decision(planned({TEACHER: completed()}, weights=Weights(problem="best.pth is damaged")), STUDENT)
    assert (found.action, "best.pth is damaged" in found.reason) == (Action.BLOCK, True)


def test_another_seed_s_teacher_opens_no_gate() -> None:
    campaign = tiny_campaign(scheduler={"kind": "pbs", "slots": 9})
    found = planned({TEACHER: completed()}, campaign=campaign)
    assert decision(found, STUDENT).action == Action.SUBMIT
    assert decision(found, STUDENT.model_copy(update={"seed": 1})).action == Action.WAIT


def test_a_student_begun_with_another_teacher_is_blocked() -> None:
    begun = record(State.IN_PROGRESS, epoch=1, teacher_sha256="bb", ended_at=NOW)
    assert decision(planned({TEACHER: completed(), STUDENT: begun}), STUDENT).action == Action.BLOCK
    fresh = record(State.NOT_STARTED, epoch=0, teacher_sha256="bb", ended_at=NOW)
    assert decision(planned({TEACHER: completed(), STUDENT: fresh}), STUDENT).action == Action.RESUBMIT


def test_a_run_begun_with_another_recipe_is_blocked_and_says_what_differs() -> None:
    begun = record(State.IN_PROGRESS, epoch=1, recipe={"epochs": 9}, ended_at=NOW)
    found = decide(TEACHER, begun)
    assert found.action == Action.BLOCK
    assert "epochs 9, now 3" in found.reason
    same = tiny_campaign().recipe.model_dump(mode="json")
    assert decide(TEACHER, begun.model_copy(update={"recipe": same})).action == Action.RESUBMIT


# Slots


def test_every_job_of_the_user_takes_a_slot_and_unplanned_ones_are_strays() -> None:
    found = planned(listed_jobs=(listed("1.vm"), listed("2.vm")))
    assert not found.submissions
    assert [job.job_id for job in found.strays] == ["1.vm", "2.vm"]
    assert "all 2 slots are taken" in decision(found, TEACHER).reason


@pytest.mark.parametrize(
    ("slots", "limits", "submitted"),
    [
        (2, Limits(), 1),
        (2, Limits(queued=1), 0),
        (2, Limits(queued=9), 1),
        (9, Limits(queued=2), 1),
        (9, Limits(queued=3), 2),
        (9, Limits(running=1), 2),
        (9, Limits(queued=9, everywhere=2), 1),
    ],
)
def test_the_smaller_of_slots_and_the_servers_limits_is_kept(slots: int, limits: Limits, submitted: int) -> None:
    """One job of somebody's is there already."""
    campaign = tiny_campaign(seeds=[0], methods=[], alphas=[], scheduler={"kind": "pbs", "slots": slots})
    found = planned(campaign=campaign, limits=limits, listed_jobs=(listed("1.vm"),))
    assert len(found.submissions) == submitted


def test_a_job_of_which_nothing_is_known_keeps_its_slot() -> None:
    found = planned({TEACHER: record(State.QUEUED)}, jobs={"7.vm": Unknown("hung")}, limits=Limits(queued=1))
    assert not found.submissions
    assert found.unknown == ("Digits/pure/ResNet20/0: hung",)


def test_without_a_listing_nothing_is_submitted() -> None:
    assert not planned(listed_jobs=None).submissions


# Jobs


def test_a_live_job_is_left_and_a_held_one_released() -> None:
    found = decide(TEACHER, record(State.QUEUED), jobs={"7.vm": Live(Phase.WAITING, "state Q")})
    assert (found.action, found.reason) == (Action.LEAVE, "job 7.vm: state Q")
    found = decide(TEACHER, record(State.QUEUED), jobs={"7.vm": Live(Phase.HELD)})
    assert (found.action, found.job_id) == (Action.RELEASE, "7.vm")


@pytest.mark.parametrize("state", [State.QUEUED, State.IN_PROGRESS])
def test_an_unknown_job_is_left_alone(state: State) -> None:
    found = decide(TEACHER, record(state), jobs={"7.vm": Unknown("hung")})
    assert (found.action, found.ending) == (Action.LEAVE, None)


def test_a_job_of_another_scheduler_is_left_alone() -> None:
    found = decide(TEACHER, record(State.QUEUED, scheduler="slurm"))
    assert found.action == Action.LEAVE
    assert "slurm" in found.reason


def test_a_dead_job_is_explained_and_its_run_goes_on() -> None:
    begun = record(State.IN_PROGRESS, epoch=2, start_epoch=1)
    found = decide(TEACHER, begun, jobs={"7.vm": Gone("F", -29, verdict=Exceeded("walltime"))})
    assert found.action == Action.RESUBMIT
    assert found.ending
    assert (found.ending.cause.name, found.ending.charged, found.ending.end_epoch) == ("walltime", False, 2)


def test_an_id_only_record_of_an_earlier_round_is_followed_to_its_end() -> None:
    old = StatusRecord(state=State.QUEUED, attempts=(Attempt(scheduler="pbs", job_id="7002781.sched01"),))
    assert decide(TEACHER, old, jobs={"7002781.sched01": Live(Phase.RUNNING)}).action == Action.LEAVE
    assert decide(TEACHER, old, jobs={"7002781.sched01": Gone("F", 0)}).action == Action.RESUBMIT


# Students that share a job

METHODS = ["logit", "rkd", "nst"]


def sharing(size: int = 6, slots: int = 2, **changes: Any) -> Campaign:
    """Eight runs of one seed, six of them students of one teacher."""
    fields = {"seeds": [0], "methods": METHODS, "alphas": [0.25, 0.5], "scheduler": {"kind": "pbs", "slots": slots}}
    return tiny_campaign(**fields | changes, students_per_job=size)


def student(method: str, alpha: float = 0.5, seed: int = 0) -> Experiment:
    return STUDENT.model_copy(update={"method": method, "alpha": alpha, "seed": seed})


PURE_DONE = {TEACHER: completed(), PURE: completed()}


def job_sizes(found: Plan) -> list[int]:
    return [len(job) for job in found.jobs.values()]


def test_students_of_one_teacher_share_a_slot_and_name_their_leader() -> None:
    found = planned(PURE_DONE, campaign=sharing(), limits=Limits(queued=1))
    assert job_sizes(found) == [6]
    leader, *others = found.submissions
    assert leader.shares_job_of is None
    assert {decision.shares_job_of for decision in others} == {leader.experiment}
    assert all(f"shares the job of {leader.experiment.label}" in decision.reason for decision in others)


@pytest.mark.parametrize(("size", "sizes"), [(1, [1, 1]), (2, [2, 2]), (4, [4, 2]), (5, [5, 1]), (9, [6])])
def test_a_job_takes_no_more_students_than_the_campaign_says(size: int, sizes: list[int]) -> None:
    found = planned(PURE_DONE, campaign=sharing(size))
    assert job_sizes(found) == sizes
    assert {d.action for d in found.decisions if d not in found.submissions} <= {Action.DONE, Action.WAIT}


def test_pure_runs_and_students_of_other_seeds_or_data_sets_share_no_job() -> None:
    campaign = sharing(slots=99, datasets=["Digits", "SVHN"], seeds=[0, 1])
    done = {run: completed() for run in campaign.experiments() if run.is_pure and run.student == "ResNet20"}
    found = planned(done, campaign=campaign)
    assert sorted(job_sizes(found)) == [1] * 4 + [6] * 4
    for job in found.jobs.values():
        runs = [decision.experiment for decision in job]
        assert len({(run.dataset, run.seed) for run in runs}) == 1
        assert len(job) == 1 or not any(run.is_pure for run in runs)


def test_a_student_two_epochs_ahead_gets_its_own_job_one_does_not() -> None:
    def at(epoch: int) -> StatusRecord:
        return record(State.IN_PROGRESS, epoch=epoch, start_epoch=0, end_epoch=epoch, ended_at=NOW)

    ahead = {student("logit", 0.25): at(0), student("logit"): at(1), student("rkd"): at(2)}
    found = planned(PURE_DONE | ahead, campaign=sharing())
    assert job_sizes(found) == [5, 1]
    assert decision(found, student("logit")).shares_job_of == student("logit", 0.25)
    assert decision(found, student("rkd")).shares_job_of is None


def test_a_shared_job_asks_for_the_largest_memory_of_its_students() -> None:
    grown = record(State.IN_PROGRESS, epoch=1, start_epoch=0, end_epoch=1, ended_at=NOW, next_memory="12gb")
    found = planned(PURE_DONE | {student("rkd"): grown}, campaign=sharing())
    assert {decision.memory for decision in found.submissions} == {"12gb"}


def test_who_died_in_vain_is_trained_alone_until_it_has_an_epoch_more() -> None:
    in_vain = record(State.NOT_STARTED, ended_at=NOW, start_epoch=0, end_epoch=0, charged=True)
    found = planned(PURE_DONE | {student("logit", 0.25): in_vain}, campaign=sharing())
    assert job_sizes(found) == [1, 5]
    gained = record(State.IN_PROGRESS, epoch=1, start_epoch=0, end_epoch=1, ended_at=NOW)
    assert job_sizes(planned(PURE_DONE | {student("logit", 0.25): gained}, campaign=sharing())) == [6]


def in_one_job(state: State, *methods: str, **fields: Any) -> dict[Experiment, StatusRecord]:
    runs = [student(method) for method in methods]
    labels = tuple(run.label for run in runs)
    return {run: record(state, runs=labels, token="sharedjb", **fields) for run in runs}


def test_a_shared_job_takes_one_slot_and_one_that_nobody_knows_of_one_too() -> None:
    shared = in_one_job(State.QUEUED, "logit", "rkd", "nst")
    name = job_name(ROOT, student("logit"), "sharedjb", is_shared=True)
    alive = {"7.vm": Live(Phase.RUNNING)}
    found = planned(PURE_DONE | shared, campaign=sharing(), jobs=alive, listed_jobs=(listed("7.vm", name),))
    assert (found.in_use, job_sizes(found), found.strays) == (1, [3], ())
    unlisted = planned(PURE_DONE | shared, campaign=sharing(), jobs={"7.vm": Unknown("hung")})
    assert (unlisted.in_use, job_sizes(unlisted)) == (1, [3])


def test_all_intents_of_a_shared_job_are_adopted_even_if_one_knew_it() -> None:
    name = job_name(ROOT, student("logit"), "sharedjb", is_shared=True)
    intents = in_one_job(State.SUBMITTING, "logit", "rkd", "nst", job_id=None)
    recorded = intents | {student("logit"): intents[student("logit")].with_attempt(job_id="18.vm")}
    jobs = (listed("17.vm", name, Phase.HELD), listed("18.vm", name, Phase.HELD))
    for records, kept, surplus in ((intents, "17.vm", "18.vm"), (recorded, "18.vm", "17.vm")):
        found = planned(PURE_DONE | records, campaign=sharing(slots=9), listed_jobs=jobs)
        assert [decision(found, student(m)).job_id for m in ("rkd", "nst")] == [kept, kept]
        assert decision(found, student("rkd")).action == Action.ADOPT
        assert [job.job_id for job in found.surplus] == [surplus]


@pytest.mark.parametrize("lost", ["logit", "rkd"])
def test_a_held_job_that_one_of_its_runs_knows_is_not_deleted(lost: str) -> None:
    name = job_name(ROOT, student("logit"), "sharedjb", is_shared=True)
    job = (listed("7.vm", name, Phase.HELD),)
    for job_id in ("7.vm", None):
        shared = in_one_job(State.QUEUED if job_id else State.SUBMITTING, "logit", "rkd", job_id=job_id)
        del shared[student(lost)]
        found = planned(PURE_DONE | shared, campaign=sharing(), listed_jobs=job, jobs={"7.vm": Live(Phase.HELD)})
        assert not found.surplus
        (other,) = shared
        assert decision(found, other).action in (Action.RELEASE, Action.ADOPT)


def test_the_remedy_of_who_waits_for_a_shared_job_cancels_no_other() -> None:
    shared = in_one_job(State.IN_PROGRESS, "logit", "rkd")
    del shared[student("rkd")]
    job = (listed("7.vm", job_name(ROOT, student("logit"), "sharedjb", is_shared=True)),)
    waits = decision(planned(PURE_DONE | shared, campaign=sharing(), listed_jobs=job), student("rkd"))
    assert waits.action == Action.WAIT
    assert "kd-hpc cancel" not in waits.remedy


def charged_after_death(shared: dict[Experiment, StatusRecord]) -> list[bool]:
    dead = planned(PURE_DONE | shared, campaign=sharing(), jobs={"7.vm": Gone("F", 1)})
    return [bool((ending := decision(dead, run).ending) and ending.charged) for run in shared]


def test_a_shared_death_is_charged_to_who_began_without_a_gained_epoch() -> None:
    begun = in_one_job(State.IN_PROGRESS, *METHODS, start_epoch=0, end_epoch=0)
    assert charged_after_death(begun) == [True, True, True]
    had_no_turn = begun | {student("nst"): begun[student("nst")].with_attempt(start_epoch=None, end_epoch=None)}
    assert charged_after_death(had_no_turn) == [True, True, False]
    nobody_began = {run: found.with_attempt(start_epoch=None, end_epoch=None) for run, found in begun.items()}
    assert charged_after_death(nobody_began) == [True, True, True]
    one_gained = begun[student("rkd")].model_copy(update={"epoch": 1}).with_attempt(end_epoch=1)
    assert charged_after_death(begun | {student("rkd"): one_gained}) == [False, False, False]


@settings(deadline=None, max_examples=60)
@given(
    size=st.integers(1, 7),
    slots=st.integers(1, 8),
    epochs=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    vain=st.sets(st.integers(0, 11)),
)
def test_however_shared_out_jobs_are_whole_level_and_within_slots(
    size: int, slots: int, epochs: list[int], vain: set[int]
) -> None:
    campaign = sharing(size, slots, seeds=[0, 1])
    students = [run for run in campaign.experiments() if not run.is_pure]
    records: dict[Experiment, Any] = {run: completed() for run in campaign.experiments() if run.is_pure}
    for number, run in enumerate(students):
        charged = number in vain
        records[run] = record(
            State.NOT_STARTED, epoch=epochs[number], start_epoch=0, end_epoch=0, ended_at=NOW, charged=charged
        )
    found = planned(records, campaign=campaign)
    assert found == planned(records, campaign=campaign)
    assert len(found.jobs) <= slots
    assert len(found.jobs) == slots or len(found.submissions) == len(students)
    for leader, job in found.jobs.items():
        runs = [decision.experiment for decision in job]
        assert runs[0] == leader
        assert 1 <= len(runs) <= size
        assert len({run.seed for run in runs}) == 1
        assert all(abs(records[run].epoch - records[leader].epoch) <= 1 for run in runs)
        assert len(runs) == 1 or not any(students.index(run) in vain for run in runs)


# Submissions that got stuck


def test_an_intent_adopts_the_oldest_job_of_its_token_others_are_deleted() -> None:
    token = new_token()
    name = job_name(ROOT, TEACHER, token)
    jobs = tuple(listed(f"{number}.vm", name, Phase.HELD) for number in (10, 9, 11))
    intent = record(State.SUBMITTING, job_id=None, token=token)
    found = planned({TEACHER: intent}, listed_jobs=jobs, limits=Limits(queued=9))
    assert decision(found, TEACHER).action == Action.ADOPT
    assert decision(found, TEACHER).job_id == "9.vm"
    assert [job.job_id for job in found.surplus] == ["10.vm", "11.vm"]
    assert not found.strays


def test_an_intent_without_a_job_is_made_again_and_not_charged() -> None:
    found = decide(TEACHER, record(State.SUBMITTING, job_id=None))
    assert found.action == Action.RESUBMIT
    assert found.ending
    assert not found.ending.charged


def test_an_intent_is_left_while_nobody_can_list_the_jobs() -> None:
    assert decide(TEACHER, record(State.SUBMITTING, job_id=None), listed_jobs=None).action == Action.LEAVE


def test_a_held_job_of_a_replaced_submission_is_deleted_a_running_one_not() -> None:
    old, new = new_token(), new_token()
    attempts = (
        Attempt(number=1, token=old, scheduler="pbs", ended_at=NOW),
        Attempt(number=2, token=new, scheduler="pbs", job_id="8.vm"),
    )
    known = StatusRecord(state=State.QUEUED, attempts=attempts)
    for phase, expected in ((Phase.HELD, ["3.vm"]), (Phase.RUNNING, [])):
        jobs = (listed("3.vm", job_name(ROOT, TEACHER, old), phase), listed("8.vm", job_name(ROOT, TEACHER, new)))
        found = planned({TEACHER: known}, listed_jobs=jobs, jobs={"8.vm": Live(Phase.RUNNING)})
        assert [job.job_id for job in found.surplus] == expected


def test_a_run_with_a_lost_record_waits_for_the_job_with_its_tag() -> None:
    job = listed("3.vm", job_name(ROOT, TEACHER, new_token()))
    found = decision(planned(listed_jobs=(job,)), TEACHER)
    assert found.action == Action.WAIT
    assert "3.vm" in found.reason
    elsewhere = listed("3.vm", job_name("/another/experiments", TEACHER, new_token()))
    assert decision(planned(listed_jobs=(elsewhere,)), TEACHER).action == Action.SUBMIT


# Deaths


def deaths(count: int, **fields: Any) -> tuple[Attempt, ...]:
    fields = {"cause": "exception", "charged": True, "start_epoch": 0, "end_epoch": 0} | fields
    return tuple(
        Attempt(number=n + 1, scheduler="pbs", job_id=f"{n}.vm", ended_at=NOW - timedelta(days=1), **fields)
        for n in range(count)
    )


LAST = Attempt(number=99, scheduler="pbs", job_id="7.vm", start_epoch=0, end_epoch=0, memory="4gb")


def after(earlier: tuple[Attempt, ...], gone: Gone = Gone("F", 1), epoch: int = 0, **facts: Any) -> Decision:
    attempts = (*earlier, LAST)
    return decide(
        TEACHER, StatusRecord(state=State.IN_PROGRESS, attempts=attempts, epoch=epoch), jobs={"7.vm": gone}, **facts
    )


def test_the_third_death_in_a_row_without_an_epoch_fails_the_run() -> None:
    assert after(deaths(1)).action == Action.RESUBMIT
    failed = after(deaths(2))
    assert failed.action == Action.FAIL
    assert "3 jobs in a row" in failed.reason
    assert "kd-hpc retry Digits/pure/ResNet20/0" in failed.remedy


def test_a_gained_epoch_begins_the_count_anew() -> None:
    assert after((*deaths(2), *deaths(1, start_epoch=0, end_epoch=1, charged=False))).action == Action.RESUBMIT
    assert after(deaths(2), epoch=1).action == Action.RESUBMIT


def test_forgiven_deaths_do_not_count() -> None:
    assert after(deaths(2, forgiven=True)).action == Action.RESUBMIT


def test_node_faults_are_not_charged_but_end_somewhere() -> None:
    assert after(deaths(5, cause="node", charged=False), Gone("F", -1, verdict=NodeFault())).action == Action.RESUBMIT
    assert after(deaths(40, cause="node", charged=False), Gone("F", -1, verdict=NodeFault())).action == Action.FAIL


# Nodes that fail jobs


def fault(host: str, ended: int, *, started: int | None = None, token: str = "") -> StatusRecord:
    """A run whose latest job failed with its node; minutes ago."""
    began = NOW - timedelta(minutes=started) if started is not None else None
    attempt = Attempt(
        token=token,
        scheduler="pbs",
        job_id="1.vm",
        cause="node",
        host=host,
        started_at=began,
        ended_at=NOW - timedelta(minutes=ended),
    )
    return StatusRecord(attempts=(attempt,))


@pytest.mark.parametrize(
    ("one", "other", "is_bad"),
    [
        (fault("gpu7", 5), fault("gpu7", 10), True),
        (fault("gpu7", 5), fault("gpu7", 5), True),
        (fault("gpu7", 5), fault("gpu8", 10), False),
        (fault("gpu7", 5), fault("gpu7", 70), False),
        (fault("gpu7", -500), fault("gpu7", -500), False),
        (fault("gpu7", 5, started=50), fault("gpu7", 5, started=40), False),
        (fault("gpu7", 6, started=50), fault("gpu7", 5, started=40), False),
        (fault("gpu7", 30, started=50), fault("gpu7", 5, started=25), True),
        (fault("gpu7", 5, started=50), fault("gpu7", 5), True),
        (fault("gpu7", 5, token="shared12"), fault("gpu7", 5, token="shared12"), False),
    ],
)
def test_a_node_is_bad_by_incidents_not_by_jobs(one: StatusRecord, other: StatusRecord, is_bad: bool) -> None:
    """What was at work on it at the same moment ended together: one incident, as a shared job is."""
    found = planned({TEACHER: one, PURE: other})
    assert [node.host for node in found.bad_nodes] == ["gpu7"] * is_bad


def test_beside_a_bad_node_one_job_at_a_time_is_sent() -> None:
    bad = {TEACHER: fault("gpu7", 5), PURE: fault("gpu7", 10)}
    found = planned(bad)
    assert len(found.submissions) == 1
    waiting = decision(found, PURE)
    assert waiting.action == Action.WAIT
    assert "node gpu7 failed jobs 2 times, the last at" in waiting.reason
    on_its_way = record(State.QUEUED, submitted_at=NOW - timedelta(minutes=1))
    assert not planned(bad | {TEACHER: with_earlier(bad[TEACHER], on_its_way)}, jobs=RUNNING).submissions
    trained = record(State.IN_PROGRESS, submitted_at=NOW - timedelta(minutes=1), start_epoch=0, end_epoch=1)
    assert planned(bad | {TEACHER: with_earlier(bad[TEACHER], trained)}, jobs=RUNNING).submissions


RUNNING = {"7.vm": Live(Phase.RUNNING)}


def with_earlier(earlier: StatusRecord, now: StatusRecord) -> StatusRecord:
    return now.model_copy(update={"attempts": (*earlier.attempts, *now.attempts)})


def test_a_scheduler_that_can_avoid_a_node_is_not_slowed_down() -> None:
    bad = {TEACHER: fault("gpu7", 5), PURE: fault("gpu7", 10)}
    found = planned(bad, can_avoid_nodes=True)
    assert len(found.submissions) == 2
    assert found.avoids_nodes


MEMORY_KILL = Gone("F", -27, verdict=Exceeded("mem"))


def test_a_memory_kill_is_not_queued_again_with_the_same_memory() -> None:
    failed = after((), MEMORY_KILL)
    assert failed.action == Action.FAIL
    assert 'memory = "6gb"' in failed.remedy


def test_memory_grows_as_far_as_the_campaign_allows() -> None:
    def campaign(ceiling: str) -> Campaign:
        resources = {"memory": "4gb", "max_memory": ceiling}
        return tiny_campaign(seeds=[0], scheduler={"kind": "pbs", "slots": 2}, resources=resources)

    grown = after((), MEMORY_KILL, campaign=campaign("16gb"))
    assert (grown.action, grown.memory) == (Action.RESUBMIT, "6gb")
    capped = after((), MEMORY_KILL, campaign=campaign("5gb"))
    assert (capped.action, capped.memory) == (Action.RESUBMIT, "5gb")
    assert after((), MEMORY_KILL, campaign=campaign("4gb")).action == Action.FAIL


def test_grown_memory_stays_for_later_attempts() -> None:
    known = record(State.IN_PROGRESS, epoch=1, start_epoch=0, end_epoch=1, ended_at=NOW, next_memory="12gb")
    assert decide(TEACHER, known).memory == "12gb"


# People


def test_a_run_in_somebody_s_hands_is_left_until_they_are_proven_gone() -> None:
    by_hand = record(State.IN_PROGRESS, scheduler="hand", job_id=None)
    assert decide(TEACHER, by_hand, views={"owner_alive": True}).action == Action.LEAVE
    unknowable = decide(TEACHER, by_hand, views={"owner_alive": None})
    assert unknowable.action == Action.BLOCK
    assert "kd-hpc retry" in unknowable.remedy
    assert decide(TEACHER, by_hand, views={"owner_alive": False}).action == Action.RESUBMIT


def test_a_cancelled_run_is_not_queued_again() -> None:
    assert decide(TEACHER, None, views={"cancelled": True}).action == Action.FAIL
    terminated = Gone("F", 271, signal=15)
    dead = decide(TEACHER, record(State.IN_PROGRESS), jobs={"7.vm": terminated}, views={"cancelled": True})
    assert (dead.action, dead.reason) == (Action.FAIL, "cancelled by you")
    alive = decide(TEACHER, record(State.QUEUED), jobs={"7.vm": Live(Phase.RUNNING)}, views={"cancelled": True})
    assert alive.action == Action.LEAVE


def test_damaged_records_are_set_aside_and_later_versions_are_not() -> None:
    assert decide(TEACHER, Unreadable(Path("status.json"), "torn")).action == Action.QUARANTINE
    assert decide(TEACHER, Unreadable(Path("status.json"), "newer", is_damaged=False)).action == Action.BLOCK


# The whole


STATES = st.sampled_from(list(State))
ANSWERS: st.SearchStrategy[Observation] = st.sampled_from(
    [Live(Phase.RUNNING), Live(Phase.HELD), Gone("F", 0), Gone("F", 1), Unknown("?")]
)


@given(st.data())
def test_every_situation_gives_every_run_one_decision_with_a_reason(data: st.DataObject) -> None:
    campaign = tiny_campaign(scheduler={"kind": "pbs", "slots": 2})
    records: dict[Experiment, Any] = {}
    for number, experiment in enumerate(campaign.experiments()):
        kind = data.draw(st.sampled_from(["none", "unreadable", "record"]))
        if kind == "unreadable":
            records[experiment] = Unreadable(Path("status.json"), "torn", is_damaged=data.draw(st.booleans()))
        elif kind == "record":
            attempt = Attempt(
                token=new_token() if data.draw(st.booleans()) else "",
                scheduler=data.draw(st.sampled_from(["pbs", "hand", "local"])),
                job_id=data.draw(st.sampled_from([None, f"{number}.vm"])),
                ended_at=data.draw(st.sampled_from([None, NOW])),
                memory=data.draw(st.sampled_from([None, "4gb"])),
            )
            attempts = data.draw(st.sampled_from([(), (attempt,), (attempt, attempt)]))
            records[experiment] = StatusRecord(
                state=data.draw(STATES), attempts=attempts, epoch=data.draw(st.integers(0, 3))
            )
    jobs = {f"{number}.vm": data.draw(ANSWERS) for number in range(6)}
    alive = tuple(ListedJob(job_id, "x", seen) for job_id, seen in jobs.items() if isinstance(seen, Live))
    found = planned(records, jobs=jobs, listed_jobs=data.draw(st.sampled_from([None, alive])), campaign=campaign)
    assert {d.experiment for d in found.decisions} == set(campaign.experiments())
    assert len(found.decisions) == 6
    assert all(d.reason for d in found.decisions)
    assert len(found.submissions) <= max(0, found.capacity - found.in_use)


def test_names_are_short_and_find_their_token_and_run() -> None:
    token = new_token()
    name = job_name(ROOT, STUDENT, token)
    assert len(name) == 15
    assert parse_job_name(name) == (tag(ROOT, STUDENT), token, False)
    assert parse_job_name("my_own_job") is None


def test_planning_costs_the_same_for_each_run_however_many_there_are() -> None:
    """How long that takes: benchmarks/planner.py."""
    few, many = (calls_of(partial(plan, situation)) / len(situation.runs) for situation in (large(4), large(40)))
    assert many < 1.1 * few
    assert few < 200


def large(seeds: int) -> Situation:
    """80 runs a seed, in every state."""
    campaign = tiny_campaign(
        datasets=["Cifar10", "Cifar100", "SVHN", "TinyImageNet"],
        methods=["logit", "factor_transfer", "attention_transfer", "fitnets", "rkd", "nst"],
        alphas=[0.25, 0.5, 0.75],
        seeds=list(range(seeds)),
        scheduler={"kind": "pbs", "slots": 10},
    )
    states = (
        completed(),
        record(State.IN_PROGRESS, epoch=1, start_epoch=0),
        None,
        record(State.NOT_STARTED, ended_at=NOW),
    )
    runs = tuple(
        RunView(experiment, completed() if experiment.is_pure else states[n % 4], weights=Weights("aa"))
        for n, experiment in enumerate(campaign.experiments())
    )
    jobs = tuple(listed(f"{n}.vm", job_name(ROOT, run.experiment, new_token())) for n, run in enumerate(runs[:8]))
    return Situation(campaign, ROOT, "pbs", runs, Snapshot({"7.vm": Gone("F", 1)}, jobs), NOW)


# What only a person can help with


def test_a_job_that_can_never_run_waits_for_a_person_who_is_told_what_to_write() -> None:
    never = Obstacle("PBS says of job 7.vm: Can Never Run", "Mend gpus under [resources]", needs_new_job=True)
    found = decide(TEACHER, record(State.QUEUED), jobs={"7.vm": Live(Phase.WAITING, "state Q", never)})
    assert (found.action, found.reason) == (Action.BLOCK, "PBS says of job 7.vm: Can Never Run")
    assert found.remedy.startswith("Mend gpus under [resources], then: kd-hpc cancel --yes 7.vm; kd-hpc retry ")


def test_a_job_that_was_released_and_is_held_again_is_left_to_who_holds_it() -> None:
    held = {"7.vm": Live(Phase.HELD)}
    assert decide(TEACHER, record(State.QUEUED), jobs=held).action == Action.RELEASE
    queued = record(State.QUEUED)
    token = queued.attempt.token if queued.attempt else ""
    found = decide(TEACHER, queued, jobs=held, released=frozenset({JobRef("7.vm", token)}))
    assert (found.action, "somebody holds it" in found.reason) == (Action.BLOCK, True)
    of_another = frozenset({JobRef("7.vm", "another")})  # its id was given out again
    assert decide(TEACHER, queued, jobs=held, released=of_another).action == Action.RELEASE


def test_a_closed_queue_is_said_at_once_and_nothing_is_submitted() -> None:
    closed = Obstacle("PBS knows no queue 'nosuch'", "Name another")
    found = planned(closed=closed)
    assert (found.submissions, found.closed) == ((), closed)
    assert "nosuch" in decision(found, TEACHER).reason
    done = {run: completed() for run in (TEACHER, PURE, STUDENT)}
    assert planned(done, closed=closed).closed is None


# A wish to end something lasts until it is true


@pytest.mark.parametrize("phase", [Phase.HELD, Phase.WAITING, Phase.RUNNING, Phase.OTHER])
def test_a_cancelled_runs_job_is_deleted_by_every_round_until_it_is_gone(phase: Phase) -> None:
    job = listed("7.vm", job_name(ROOT, TEACHER, "abcdefgh"), phase)
    found = planned(
        {TEACHER: record(State.QUEUED)},
        jobs={"7.vm": Live(phase)},
        listed_jobs=(job,),
        views={"cancelled": True},
    )
    assert [(surplus.job_id, surplus.token) for surplus in found.surplus] == [("7.vm", "abcdefgh")]
    assert (decision(found, TEACHER).action, decision(found, TEACHER).job_id) == (Action.LEAVE, "7.vm")


def test_a_cancelled_submission_of_unknown_fate_is_deleted_not_adopted() -> None:
    job = listed("7.vm", job_name(ROOT, TEACHER, "abcdefgh"), Phase.HELD)
    intent = record(State.SUBMITTING, job_id=None)
    found = planned({TEACHER: intent}, listed_jobs=(job,), views={"cancelled": True})
    assert [surplus.job_id for surplus in found.surplus] == ["7.vm"]
    assert decision(found, TEACHER).action == Action.LEAVE
    assert decision(planned({TEACHER: intent}, views={"cancelled": True}), TEACHER).action == Action.FAIL


def test_a_job_of_nobodys_that_is_to_end_is_meant_by_id_and_name() -> None:
    jobs = (listed("8.vm", "mine"), listed("9.vm", "another"))
    found = planned(listed_jobs=jobs, unwanted=(JobRef("8.vm", "mine"), JobRef("9.vm", "mine")))
    assert [surplus.job_id for surplus in found.surplus] == ["8.vm"]
    assert [stray.job_id for stray in found.strays] == ["9.vm"]


# Whose job, and in which queue


def test_only_jobs_in_the_campaigns_queue_take_its_slots() -> None:
    campaign = tiny_campaign(
        seeds=[0], methods=[], alphas=[], scheduler={"kind": "pbs", "slots": 3}, resources={"queue": "gpu_1"}
    )
    jobs = (listed("1.vm", queue="gpu_1"), listed("2.vm", queue="smp"), listed("3.vm", queue="gpu_1@west"))
    found = planned(campaign=campaign, listed_jobs=(*jobs, listed("4.vm", queue="smp,gpu_1")))
    assert (found.in_use, found.capacity) == (3, 3)
    assert [job.job_id for job in found.strays] == ["1.vm", "3.vm", "4.vm"]


def test_another_job_with_the_id_of_a_record_is_not_taken_for_it() -> None:
    found = planned({TEACHER: record(State.IN_PROGRESS, ended_at=NOW)}, listed_jobs=(listed("7.vm", "somebody's"),))
    assert [job.job_id for job in found.strays] == ["7.vm"]


def test_a_job_whose_node_was_lost_is_left_and_takes_no_slot() -> None:
    lost = Lost("its node n2 is lost", Gone("F", -20), NOW)
    found = planned({TEACHER: record(State.IN_PROGRESS)}, jobs={"7.vm": lost})
    assert decision(found, TEACHER).action == Action.LEAVE
    assert "retry --gone" in decision(found, TEACHER).remedy
    assert found.in_use == 0
