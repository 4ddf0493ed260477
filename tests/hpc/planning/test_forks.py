"""[[forks]]: from the table of a campaign file to runs, and when the planner lets them begin."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from kd_hpc.campaign import Campaign
from kd_hpc.experiment import Experiment
from kd_hpc.forecasting.forecast import remaining
from kd_hpc.forecasting.timings import Timings
from kd_hpc.planning.decision import Action, Decision
from kd_hpc.planning.planner import plan
from kd_hpc.planning.situation import RunView, Situation, Weights
from kd_hpc.records import State, StatusRecord
from kd_hpc.schedulers.base import Snapshot
from kd_hpc.store import Unreadable
from tests.hpc.support import STUDENT, tiny_campaign

KEPT = {"epochs": 9, "checkpoint_epochs": [5]}


def forking(*tables: dict[str, Any], **changes: Any) -> Campaign:
    return tiny_campaign(
        **{"seeds": [0], "recipe": KEPT, "forks": [{"at": [5], **table} for table in tables], **changes}
    )


def forks(campaign: Campaign) -> list[str]:
    return [run.label for run in campaign.experiments() if run.differs.fork]


def test_a_table_forks_every_distilled_run_of_the_campaign() -> None:
    campaign = forking({"alpha": 0.0}, methods=["logit", "rkd"], alphas=[0.25, 0.5], seeds=[0, 1])
    assert len(forks(campaign)) == 8
    assert forks(campaign)[0] == "Digits/logit+at_5_of_logit_0.25/alpha_0/ResNet20_to_ResNetBaby/0"
    assert all(run.parent in campaign.experiments() for run in campaign.experiments() if run.differs.fork)


def test_methods_alphas_and_epochs_choose_the_parents() -> None:
    recipe = {"epochs": 9, "checkpoint_epochs": [3, 5]}
    table = {"at": [3, 5], "methods": ["rkd"], "alphas": [0.25], "method": "logit"}
    campaign = forking(table, methods=["logit", "rkd"], alphas=[0.25, 0.5], recipe=recipe)
    assert forks(campaign) == [
        "Digits/logit+at_3_of_rkd_0.25/alpha_0.25/ResNet20_to_ResNetBaby/0",
        "Digits/logit+at_5_of_rkd_0.25/alpha_0.25/ResNet20_to_ResNetBaby/0",
    ]


def test_a_control_arm_from_an_epoch_on_where_it_makes_sense() -> None:
    campaign = forking({"control": "shuffled"}, {"control": "other_teacher"}, methods=["logit", "rkd"], seeds=[0, 1])
    assert [label for label in forks(campaign) if label.endswith("0")] == [
        "Digits/logit+shuffled+at_5_of_logit_0.5/alpha_0.5/ResNet20_to_ResNetBaby/0",
        "Digits/logit+other_teacher_1+at_5_of_logit_0.5/alpha_0.5/ResNet20_to_ResNetBaby/0",
        "Digits/rkd+other_teacher_1+at_5_of_rkd_0.5/alpha_0.5/ResNet20_to_ResNetBaby/0",
    ]


def test_tables_that_mean_the_same_run_make_it_once() -> None:
    assert len(forks(forking({"alpha": 0.0}, {"alpha": 0.0, "methods": ["logit"]}))) == 1


@pytest.mark.parametrize(
    ("table", "changes", "told"),
    [
        ({"at": [3]}, {}, r"forks at epoch 3 need its checkpoint: write checkpoint_epochs = \[3, 5\] under \[recipe\]"),
        ({"at": [9]}, {}, "a fork at epoch 9 has nothing left to train; the last one is 9"),
        ({"methods": ["rkd"]}, {}, "has no parents"),
        ({"alphas": [0.75]}, {}, "has no parents"),
        ({"control": "other_teacher"}, {}, "needs a second seed"),
        ({"at": []}, {}, "at least 1 item"),
        ({"beta": 0.5}, {}, "not permitted"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(table: dict[str, Any], changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        forking(table, **changes)


CAMPAIGN = forking({"alpha": 0.0})
(FORK,) = (run for run in CAMPAIGN.experiments() if run.differs.fork)


def decision(parent: StatusRecord | Unreadable | None, own: StatusRecord | None = None, problem: str = "") -> Decision:
    """What is planned for the fork, with everything else completed."""
    done = StatusRecord(state=State.COMPLETED, epoch=9, epochs=9)
    records: dict[Experiment, Any] = dict.fromkeys(CAMPAIGN.experiments(), done) | {STUDENT: parent, FORK: own}
    views = tuple(RunView(run, record, weights=Weights("a" * 64)) for run, record in records.items())
    views = tuple(replace(view, parent_problem=problem) if view.experiment == FORK else view for view in views)
    situation = Situation(CAMPAIGN, "/e", "local", views, Snapshot({}, ()), datetime.now(UTC))
    (found,) = (decision for decision in plan(situation).decisions if decision.experiment == FORK)
    return found


def reached(epoch: int, state: State = State.IN_PROGRESS) -> StatusRecord:
    return StatusRecord(state=state, epoch=epoch, epochs=9, reason="its watchdog stopped it")


def test_a_fork_waits_for_its_parents_epoch_and_not_for_its_end() -> None:
    for parent in (None, reached(0, State.NOT_STARTED), reached(4)):
        waiting = decision(parent)
        assert waiting.action == Action.WAIT
        assert "has not finished epoch 5 yet" in waiting.reason
    for parent in (reached(5), reached(7, State.FAILED), reached(9, State.COMPLETED)):
        assert decision(parent).action == Action.SUBMIT


def test_a_fork_of_a_parent_that_ended_too_early_needs_a_person() -> None:
    blocked = decision(reached(3, State.FAILED))
    assert (blocked.action, blocked.remedy) == (Action.BLOCK, f"kd-hpc why {STUDENT.label}")
    assert decision(Unreadable(FORK.path, "torn")).action == Action.BLOCK  # type: ignore[arg-type]


def test_a_fork_whose_checkpoint_is_gone_is_not_submitted() -> None:
    blocked = decision(reached(9, State.COMPLETED), problem="checkpoint_epoch_5.pth is missing")
    assert blocked.action == Action.BLOCK
    assert "checkpoint_epoch_5.pth is missing" in blocked.reason
    assert blocked.remedy.endswith(f"kd-hpc retry --anew {STUDENT.label}")


def test_a_fork_that_has_begun_needs_its_parent_no_more() -> None:
    begun = StatusRecord(state=State.NOT_STARTED, epoch=6, epochs=9)
    assert decision(None, begun, problem="it is gone").action == Action.SUBMIT


def test_a_forecast_counts_the_epochs_that_a_fork_has_left_behind_its_parent() -> None:
    finished = {run for run in CAMPAIGN.experiments() if run.is_pure}
    left = {work.experiment: work for work in remaining(CAMPAIGN, {}, finished, Timings({}))}
    assert (left[STUDENT].epochs, left[STUDENT].needs) == (9, None)
    assert (left[FORK].epochs, left[FORK].needs) == (4, STUDENT)
