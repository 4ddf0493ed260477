"""From the lists of a campaign file to its runs: the ordinary ones, and the control arms."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from kd_hpc.campaign import Campaign, load_campaign
from kd_hpc.catalogue import METHODS, ON_LOGITS
from kd_hpc.command import student_beside, train_arguments
from kd_hpc.errors import CampaignError, IdentityError, UsageError
from kd_hpc.experiment import Experiment, controls_for
from kd_hpc.variant import Control
from tests.hpc.support import CAMPAIGN, PURE, STUDENT, tiny_campaign

CONTROLS = ["hard", "random_teacher", "other_teacher", "shuffled"]


def arms(campaign: Campaign) -> list[str]:
    """The control arms of a campaign, as paths."""
    return [run.label for run in campaign.experiments() if run.differs.control]


def test_a_campaign_without_controls_is_what_it_was() -> None:
    assert arms(tiny_campaign()) == []
    assert len(tiny_campaign().experiments()) == 6


def test_every_control_arm_has_its_runs_behind_the_ordinary_ones() -> None:
    campaign = tiny_campaign(seeds=[0, 1, 2], alphas=[0.25, 0.75], controls=CONTROLS, control_alphas=[0.5])
    assert [label for label in arms(campaign) if label.endswith("/0")] == [
        "Digits/pure+hard/ResNetBaby/0",
        "Digits/logit+random_teacher/alpha_0.5/ResNet20_to_ResNetBaby/0",
        "Digits/logit+other_teacher_1/alpha_0.5/ResNet20_to_ResNetBaby/0",
        "Digits/logit+shuffled/alpha_0.5/ResNet20_to_ResNetBaby/0",
    ]
    ordinary = tiny_campaign(seeds=[0, 1, 2], alphas=[0.25, 0.75]).experiments()
    assert set(ordinary) < set(campaign.experiments())
    assert len(campaign.experiments()) == len(ordinary) + 3 * 4


def test_the_other_teacher_is_that_of_the_next_seed_in_a_circle() -> None:
    campaign = tiny_campaign(seeds=[4, 0, 9], controls=["other_teacher"])
    pairs = {(run.seed, run.teacher_run.seed) for run in campaign.experiments() if run.variant and run.teacher_run}
    assert pairs == {(4, 0), (0, 9), (9, 4)}
    assert all(run.teacher_run in campaign.experiments() for run in campaign.experiments() if run.teacher_run)


def test_without_alphas_of_their_own_controls_have_those_of_the_methods() -> None:
    campaign = tiny_campaign(alphas=[0.25, 0.75], controls=["shuffled"])
    assert {run.alpha for run in campaign.experiments() if run.variant} == {0.25, 0.75}


@pytest.mark.parametrize(("method", "control"), list(product(METHODS, Control)))
def test_a_method_has_the_controls_that_make_sense_for_it(method: str, control: Control) -> None:
    variant = "other_teacher_1" if control == Control.OTHER_TEACHER else control.value
    fields = {**STUDENT.model_dump(), "method": method, "variant": variant}
    if control == Control.HARD:
        assert control not in controls_for(method)
    elif control == Control.SHUFFLED and method not in ON_LOGITS:
        with pytest.raises(IdentityError, match=f"shuffled makes no sense for {method}.*shuffled: logit"):
            Experiment(**fields).require_known()
    else:
        assert Experiment(**fields).require_known().differs.control == control
    planned = tiny_campaign(methods=["logit", method] if method != "logit" else ["logit"], controls=[control])
    of_it = [run for run in planned.experiments() if run.method == method and run.differs.control == control]
    assert bool(of_it) == (control in controls_for(method))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ('controls = ["soft"]', 'Known: \'hard\', \'random_teacher\', \'other_teacher\' or \'shuffled\'.'),
        ('controls = "hard"', 'Write controls = ["hard"].'),
        ('controls = ["hard", "hard"]', "hard is listed twice"),
        ('control_alphas = [0.5]', "control_alphas belongs to a control arm"),
        ('controls = ["hard"]\ncontrol_alphas = [0.5]', "control_alphas belongs to a control arm of a method"),
        ('controls = ["shuffled"]\ncontrol_alphas = [1.5]', "out of range"),
    ],
)  # fmt: skip
def test_a_control_that_cannot_be_meant_is_explained(change: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "campaign.toml"
    path.write_text(CAMPAIGN.replace("{venv}", "venv").replace("seeds =", f"{change}\nseeds ="))
    with pytest.raises(CampaignError) as caught:
        load_campaign(path)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"seeds": [3], "controls": ["other_teacher"]}, "other_teacher needs a second seed"),
        ({"methods": ["rkd", "nst"], "controls": ["shuffled"]}, "shuffled makes no sense for rkd, nst"),
        ({"methods": [], "alphas": [], "controls": ["random_teacher"]}, "random_teacher needs methods"),
    ],
)
def test_a_control_that_no_run_could_have_is_refused(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        tiny_campaign(**fields)


def test_each_arm_is_trained_by_its_own_recipe_and_command() -> None:
    campaign = tiny_campaign(controls=CONTROLS, recipe={"epochs": 3, "lr": 0.05})
    for run in campaign.experiments():
        recipe = campaign.recipe_for(run)
        assert (recipe.epochs, recipe.lr) == (3, 0.05)
        assert recipe.label_smoothing == (0.0 if run.variant == "hard" else 0.1)
        words = train_arguments(run, campaign.recipe, Path("/e"), Path("/d"))
        assert ("--variant" in words) == bool(run.variant)
        assert "--label-smoothing" not in words
    assert campaign.recipe_for(PURE).identity("pure") != campaign.recipe_for(_variant(PURE, "hard")).identity("pure")


def _variant(run: Experiment, text: str) -> Experiment:
    return run.model_copy(update={"variant": text})


def test_students_share_a_process_only_with_the_same_teacher_and_recipe() -> None:
    own, random = STUDENT, _variant(STUDENT, "random_teacher")
    assert own.company == _variant(own, "shuffled").company == _variant(own, "temperature_2").company
    assert random.company == random.model_copy(update={"method": "rkd", "alpha": 0.25}).company
    others = [_variant(own, text) for text in ("other_teacher_1", "lr_0.05", "random_teacher+lr_0.05")]
    apart = [own, random, *others, own.model_copy(update={"seed": 1})]
    assert len({run.company for run in apart}) == len(apart)
    assert PURE.company is None


def test_the_word_for_a_student_beside_names_its_whole_arm() -> None:
    shuffled = _variant(STUDENT, "shuffled")
    words = train_arguments(STUDENT, tiny_campaign().recipe, Path("/e"), Path("/d"), beside=[shuffled])
    assert words[words.index("--beside") + 1] == "logit+shuffled:0.5"
    assert student_beside(STUDENT, "logit+shuffled:0.5") == shuffled
    with pytest.raises(UsageError, match="is not METHOD:ALPHA"):
        student_beside(STUDENT, "logit+shuffled")
