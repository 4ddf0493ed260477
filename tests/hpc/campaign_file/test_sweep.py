"""Further axes of a campaign: [grid], pairs, and --set: named variants with a place in path, record and command."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kd_hpc.campaign import load_campaign
from kd_hpc.campaign_file.typed_settings import with_settings
from kd_hpc.command import train_arguments
from kd_hpc.errors import CampaignError, IdentityError, UsageError
from tests.hpc.support import CAMPAIGN, campaign_file, kd_hpc, no_jobs_left, tiny_campaign


def labels(**changes: Any) -> list[str]:
    return [run.label for run in tiny_campaign(**{"seeds": [0], **changes}).experiments()]


def test_an_axis_sweeps_the_runs_on_which_it_acts_and_no_others() -> None:
    found = labels(methods=["logit", "rkd"], grid={"temperature": [2, 4, 8]})
    assert found == [
        "Digits/pure/ResNet20/0",
        "Digits/pure/ResNetBaby/0",
        "Digits/logit+temperature_2/alpha_0.5/ResNet20_to_ResNetBaby/0",
        "Digits/logit/alpha_0.5/ResNet20_to_ResNetBaby/0",
        "Digits/logit+temperature_8/alpha_0.5/ResNet20_to_ResNetBaby/0",
        "Digits/rkd/alpha_0.5/ResNet20_to_ResNetBaby/0",
    ]


def test_a_teacher_is_varied_by_what_acts_on_it_and_is_planned() -> None:
    campaign = tiny_campaign(seeds=[0], grid={"lr": [0.1, 0.05], "temperature": [4.0, 2.0]})
    runs = campaign.experiments()
    assert all(run.teacher_run in runs for run in runs if run.teacher)
    both = next(run for run in runs if run.arm == "logit+lr_0.05+temperature_2")
    assert both.teacher_run
    assert both.teacher_run.label == "Digits/pure+lr_0.05/ResNet20/0"
    assert len(runs) == len(set(runs)) == 2 * 2 + 4
    recipe = campaign.recipe_for(both)
    assert (recipe.lr, recipe.temperature) == (0.05, 2.0)
    words = train_arguments(both, campaign.recipe, Path("/e"), Path("/d"))
    assert words[words.index("--variant") + 1] == "lr_0.05+temperature_2"
    assert "--lr" not in words


def test_label_smoothing_sweeps_pure_runs_and_leaves_the_hard_arm_alone() -> None:
    found = labels(controls=["hard"], grid={"label_smoothing": [0.1, 0.2]})
    assert [label for label in found if "pure" in label] == [
        "Digits/pure/ResNet20/0",
        "Digits/pure+label_smoothing_0.2/ResNet20/0",
        "Digits/pure/ResNetBaby/0",
        "Digits/pure+label_smoothing_0.2/ResNetBaby/0",
        "Digits/pure+hard/ResNetBaby/0",
    ]


def test_control_arms_are_swept_as_their_methods_are() -> None:
    found = labels(controls=["random_teacher"], grid={"temperature": [4, 2]})
    assert "Digits/logit+random_teacher+temperature_2/alpha_0.5/ResNet20_to_ResNetBaby/0" in found


def test_forks_are_made_of_the_runs_that_are_swept_so_that_their_parents_are_planned() -> None:
    kept = {"epochs": 9, "checkpoint_epochs": [5]}
    forks = [{"at": [5], "alpha": 0.0}, {"at": [5], "method": "rkd"}]
    campaign = tiny_campaign(seeds=[0], recipe=kept, forks=forks, settings={"lr": 0.05, "temperature": 2})
    found = [run for run in campaign.experiments() if run.parent]
    assert [run.arm for run in found] == [
        "logit+lr_0.05+temperature_2+at_5_of_logit--lr_0.05--temperature_2_0.5",
        "rkd+lr_0.05+at_5_of_logit--lr_0.05--temperature_2_0.5",
    ]
    assert {run.parent for run in found} | {run.teacher_run for run in found} <= set(campaign.experiments())


def test_further_pairs_bring_their_own_teachers_and_students_once() -> None:
    campaign = tiny_campaign(seeds=[0], pairs=[["ResNet56", "ResNetBaby"], ["ResNet20", "ResNet56"]])
    found = [run.label for run in campaign.experiments()]
    assert sorted(label for label in found if "pure" in label) == [
        "Digits/pure/ResNet20/0",
        "Digits/pure/ResNet56/0",
        "Digits/pure/ResNetBaby/0",
    ]
    assert [label.split("/")[3] for label in found if "logit" in label] == [
        "ResNet20_to_ResNetBaby",
        "ResNet56_to_ResNetBaby",
        "ResNet20_to_ResNet56",
    ]
    assert campaign.teachers == {"ResNet20", "ResNet56"}


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("[grid]\ntemprature = [2]", "temprature is no setting that a run may have of its own"),
        ("[grid]\nlr = [0.0]", "lr_0 is no recipe: lr: "),
        ("[grid]\nlr = []", "lr needs values that differ"),
        ("[grid]\nlr = [0.1, 0.1]", "lr needs values that differ"),
        ("[grid]\nepochs = [2.5]", "'2.5' is no number"),
    ],
)
def test_an_axis_that_cannot_be_meant_is_explained(lines: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(CampaignError) as caught:
        load_campaign(campaign_file(tmp_path, f"{CAMPAIGN}\n{lines}\n"))
    assert told in str(caught.value)


def test_a_pair_is_two_networks_and_listed_once() -> None:
    with pytest.raises(ValidationError):
        tiny_campaign(pairs=[["ResNet56"]])
    with pytest.raises(ValidationError, match="listed twice"):
        tiny_campaign(pairs=[["ResNet56", "ResNet20"], ["ResNet56", "ResNet20"]])
    with pytest.raises(IdentityError):
        tiny_campaign(pairs=[["ResNet56", "../x"]]).experiments()


def test_what_was_typed_becomes_a_line_of_the_file() -> None:
    text = with_settings(CAMPAIGN, ["recipe.lr=0.05", "recipe.augmentation=none"])
    assert tomllib.loads(text) == {**tomllib.loads(CAMPAIGN), "settings": {"lr": 0.05, "augmentation": "none"}}
    again = with_settings(text, ["recipe.lr=2"])
    assert tomllib.loads(again)["settings"] == {"lr": 2, "augmentation": "none"}
    assert with_settings(CAMPAIGN, []) == CAMPAIGN


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("lr=0.05", "is not recipe.NAME=VALUE"),
        ("recipe.lr", "is not recipe.NAME=VALUE"),
        ("recipe.lrr=1", "lrr is no setting"),
        ("recipe.weights=1", "weights is no setting"),
        ("scheduler.slots=1", "is not recipe.NAME=VALUE"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_explained(word: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_settings(CAMPAIGN, [word])
    assert told in str(caught.value)
    assert caught.value.remedy


def test_queue_with_a_setting_plans_named_variants_and_remembers_them(tmp_path: Path) -> None:
    campaign_file(tmp_path, CAMPAIGN.replace("seeds = [0, 1]", "seeds = [0]"))
    with no_jobs_left(tmp_path):
        done = kd_hpc("queue", "tiny.toml", "--set", "recipe.lr=0.05", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        listed = json.loads(kd_hpc("status", "--json", cwd=tmp_path).stdout)
    assert sorted(run["run"] for run in listed["runs"]) == [
        "Digits/logit+lr_0.05/alpha_0.5/ResNet20_to_ResNetBaby/0",
        "Digits/pure+lr_0.05/ResNet20/0",
        "Digits/pure+lr_0.05/ResNetBaby/0",
    ]
    (record,) = [run["record"] for run in listed["runs"] if run["run"] == "Digits/pure+lr_0.05/ResNet20/0"]
    assert record["recipe"]["lr"] == 0.05
    assert record["experiment"]["variant"] == "lr_0.05"


def test_simulate_with_a_setting_plays_the_varied_campaign(tmp_path: Path) -> None:
    campaign_file(tmp_path)
    words = ("simulate", "tiny.toml", "--faults", "none", "--json")
    jobs = [
        json.loads(kd_hpc(*words, *typed, cwd=tmp_path).stdout)["worlds"][0]["actions"]
        for typed in ((), ("--set", "recipe.epochs=2"))
    ]
    assert jobs == [{"done": 6}, {"done": 6}]
    wrong = kd_hpc(*words, "--set", "recipe.lrr=2", cwd=tmp_path)
    assert (wrong.returncode, "Did you mean lr?" in wrong.stderr) == (2, True)
