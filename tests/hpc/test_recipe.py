"""A recipe is declared once: what it refuses, what makes no difference to a run, what an old record may still say."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kd_hpc.campaign import Campaign, load_campaign
from kd_hpc.catalogue import LOSS_TERMS, METHODS
from kd_hpc.command import flag, recipe_arguments, train_arguments
from kd_hpc.errors import CampaignError, IdentityError
from kd_hpc.recipe import Recipe, terms_of
from kd_hpc.variant import parse_variant
from tests.hpc.support import STUDENT
from tests.paths import ROOT

CAMPAIGN = """
name = "small"
datasets = ["Digits"]
teacher = "ResNet20"
student = "ResNetBaby"
methods = ["rkd", "nst"]
alphas = [0.5]
seeds = [0]

[recipe]
epochs = 5
"""


def written(tmp_path: Path, recipe: str) -> Path:
    path = tmp_path / "campaign.toml"
    path.write_text(CAMPAIGN + recipe)
    return path


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ('weights = { "rkd.angel" = 2.0 }', "have rkd.distance, rkd.angle, nst.nst. Did you mean rkd.angle?"),
        ('weights = { angle = 2.0 }', "'angle' is no loss term here"),
        ('weights = { "logit.kl" = 2.0 }', "'logit.kl' is no loss term here"),
        ('weights = { "rkd.angle" = -1.0 }', "recipe.weights.rkd.angle = -1.0 is out of range"),
        ('weights = { "rkd.angle" = inf }', "recipe.weights.rkd.angle"),
        ("lr = nan", "recipe.lr = NaN"),
        ("representation_epochs = [2, 6]", "recipe.representation_epochs = [2, 6]: epoch 6 never ends"),
        ("representation_epochs = [0]", "epoch 0 never ends"),
        ('schedule = "multistep"', "multistep needs milestones, such as [150, 180, 210]"),
        ("milestones = [3]", "milestones mean nothing to a cosine"),
        ('schedule = "multistep"\nmilestones = [3, 5]', "milestone 5 is past the end: between epochs lie 1 to 4"),
        ('schedule = "multistep"\nmilestones = [0]', "milestone 0 is past the end"),
        ('schedule = "multistep"\nmilestones = [3, 2]', "milestones must rise"),
        ('convex = ["rkd"]', 'these are exceptions from mix = "sum"'),
        ('mix = "sum"\nconvex = ["logit"]', "recipe.convex: 'logit' is not trained here: rkd, nst"),
    ],
)  # fmt: skip
def test_what_no_run_would_use_is_refused_with_the_known(recipe: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(CampaignError) as caught:
        load_campaign(written(tmp_path, recipe))
    assert told in str(caught.value)
    assert str(tmp_path) in caught.value.what
    assert len(str(caught.value)) < 300, "no whole campaign in a sentence"


def test_weights_and_epochs_that_are_used_are_taken(tmp_path: Path) -> None:
    recipe = 'weights = { "rkd.angle" = 3.0, "nst.nst" = 0.0 }\nrepresentation_epochs = [1, 5]'
    campaign = load_campaign(written(tmp_path, recipe))
    assert campaign.recipe.weights == {"rkd.angle": 3.0, "nst.nst": 0.0}
    assert campaign.recipe.representation_epochs == (1, 5)


def test_a_campaign_of_pure_runs_has_no_terms_to_weigh() -> None:
    fields: dict[str, Any] = {"name": "a", "datasets": ["Digits"], "teacher": "ResNet20", "student": "ResNet20"}
    with pytest.raises(ValidationError, match="pure runs have none"):
        Campaign(**fields, seeds=[0], recipe=Recipe(weights={"rkd.angle": 1.0}))


def test_every_method_names_its_terms_without_torch() -> None:
    assert set(LOSS_TERMS) == set(METHODS)
    assert all(LOSS_TERMS.values())
    assert terms_of(("rkd", "logit")) == ("rkd.distance", "rkd.angle", "logit.kl")


def test_a_job_is_told_the_weights_of_the_methods_it_trains() -> None:
    recipe = Recipe(weights={"rkd.angle": 5.0, "nst.nst": 3.0, "logit.kl": 4.0})
    rkd, nst = (STUDENT.model_copy(update={"method": method}) for method in ("rkd", "nst"))
    alone, both = (train_arguments(rkd, recipe, Path("/e"), Path("/d"), beside=others) for others in ((), (nst,)))
    assert [word for word in alone if "=" in word] == ["rkd.angle=5.0"]
    assert [word for word in both if "=" in word] == ["rkd.angle=5.0", "nst.nst=3.0"]


OTHER: dict[bool, st.SearchStrategy[Any]] = {
    True: st.integers(3, 90),
    False: st.floats(0.01, 0.9),
}
OTHERS: dict[str, Any] = {
    "augmentation": "crop", "loader": "workers", "amp_dtype": "float16", "step": "plain",
    "weights": {"rkd.angle": 0.25}, "representation_epochs": (1, 2),
    "checkpoint_epochs": (1, 2), "schedule": "multistep", "milestones": (2, 3), "mix": "sum",
}  # fmt: skip
BESIDE: dict[str, dict[str, Any]] = {
    "milestones": {"schedule": "multistep", "milestones": (7,)},
    "factor": {"schedule": "multistep", "milestones": (7,)},
}
"""What a field means nothing without."""
WITH: dict[str, dict[str, Any]] = {"schedule": {"milestones": (2,)}}
"""What a value cannot be without."""


def others_of(field: str) -> st.SearchStrategy[Any]:
    """Values of a field that are not its default."""
    if field in OTHERS:
        return st.just(OTHERS[field])
    annotation = Recipe.model_fields[field].annotation
    assert annotation in (int, float), f"say in OTHERS what else {field} may be"
    return OTHER[annotation is int].filter(lambda value: value != Recipe.model_fields[field].default)


ACTS_ON: dict[str, tuple[str, ...]] = {
    "label_smoothing": ("pure",),
    "temperature": ("logit", "dkd", "dist"),
    "mix": tuple(METHODS),
    "calibrated": tuple(METHODS),
    "paraphraser_epochs": ("factor_transfer",),
    "weights": ("rkd",),
    "loader": (), "watchdog_skips": (), "representation_epochs": (), "checkpoint_epochs": (),
}  # fmt: skip
"""The methods whose numbers a field can change; others change those of all runs."""


@pytest.mark.parametrize("field", [name for name in Recipe.model_fields if name != "convex"])
def test_a_difference_is_told_to_the_runs_whose_numbers_it_changes(field: str) -> None:
    @settings(deadline=None, max_examples=20)
    @given(others_of(field))
    def check(value: Any) -> None:
        beside = BESIDE.get(field, {})
        other, ours = Recipe(**{**beside, **WITH.get(field, {}), field: value}), Recipe(**beside)
        for method in ("pure", *METHODS):
            told = ours.differences(other.model_dump(mode="json"), method)
            acts = method in ACTS_ON.get(field, (method,))
            assert (told.startswith(f"{field} ") and ", now " in told) if acts else not told
            assert (ours.identity(method) != other.identity(method)) == acts
            assert not other.differences(other.model_dump(mode="json"), method)
        assert flag(field) in recipe_arguments(other)

    check()


def test_a_field_that_comes_later_changes_no_recorded_identity() -> None:
    assert Recipe().identity("rkd") == Recipe().identity("pure") == hashlib.sha256(b"{}").hexdigest()
    assert Recipe(lr=0.05).identity("nst") == hashlib.sha256(b'{"lr": 0.05}').hexdigest()


def varied(variant: str) -> dict[str, Any]:
    """What is different about the recipe of a run that differs so from ordinary ones."""
    recipe = Recipe().varied(parse_variant(variant)).model_dump()
    return {name: value for name, value in recipe.items() if value != Recipe().model_dump()[name]}


def test_the_settings_of_a_variant_are_in_its_recipe() -> None:
    assert varied("lr_0.05+temperature_2") == {"lr": 0.05, "temperature": 2.0}
    assert varied("augmentation_none+epochs_5") == {"augmentation": "none", "epochs": 5}
    assert varied("hard") == {"label_smoothing": 0.0}
    assert varied("random_teacher") == varied("at_5_of_rkd_0.5") == {}


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        ("temprature_2", "Did you mean temperature"),
        ("weights_2", "weights is no setting"),
        ("loader_workers", "loader is no setting"),
        ("lr_fast", "'fast' is no number"),
        ("lr_0.050", "Write lr_0.05"),
        ("temperature_2.0", "Write temperature_2"),
        ("epochs_2.5", "'2.5' is no number"),
        ("epochs_0", "epochs: Input should be greater than or equal to 1"),
        ("augmentation_flip", "augmentation: Input should be"),
    ],
)
def test_a_setting_that_no_recipe_has_is_refused(variant: str, told: str) -> None:
    with pytest.raises(IdentityError, match=told):
        STUDENT.model_copy(update={"variant": variant}).require_known()


def test_calibrated_weights_may_be_asked_for_in_a_word(tmp_path: Path) -> None:
    short = load_campaign(written(tmp_path, 'weights = "calibrated:0.5"')).recipe
    assert short == Recipe(epochs=5, calibrated=0.5)
    assert recipe_arguments(short) == ["--epochs", "5", "--calibrated", "0.5"]
    assert short.of("pure").calibrated == 0
    for word in ("calibrated", "calibrated:-1", "equal"):
        with pytest.raises(CampaignError, match="is not a table"):
            load_campaign(written(tmp_path, f'weights = "{word}"'))


def test_an_exception_from_the_sum_is_a_convex_run_and_no_other_runs_matter() -> None:
    recipe = Recipe(mix="sum", convex=("logit",))
    assert recipe.of("logit").model_dump() == Recipe().model_dump()
    assert (recipe.of("rkd").mix, recipe.of("rkd").convex) == ("sum", ())
    assert recipe.of("pure").model_dump() == Recipe().model_dump()
    both = recipe.of("logit", "rkd")
    assert (both.mix, both.convex) == ("sum", ("logit",))
    assert recipe_arguments(both) == ["--mix", "sum", "--convex", "logit"]
    assert not recipe.differences(Recipe().model_dump(mode="json"), "logit")
    assert recipe.differences(Recipe().model_dump(mode="json"), "nst") == "mix convex, now sum"


def test_what_makes_no_difference_to_a_run_is_no_difference() -> None:
    theirs = Recipe(epochs=5, weights={"rkd.angle": 3.0}).model_dump(mode="json")
    assert not Recipe(epochs=5).differences(theirs, "nst")
    assert Recipe(epochs=5).differences(theirs, "rkd") == "weights {'rkd.angle': 3.0}, now {}"


def test_a_weight_spelled_out_as_the_methods_own_is_no_change() -> None:
    spelled = Recipe(weights={"rkd.angle": LOSS_TERMS["rkd"]["angle"], "rkd.distance": 0.5})
    assert spelled.model_dump(mode="json")["weights"] == {"rkd.distance": 0.5}
    assert recipe_arguments(spelled) == ["--weight", "rkd.distance=0.5"]
    assert not Recipe(weights={"rkd.angle": 2.0}).differences(Recipe().model_dump(mode="json"), "rkd")
    assert spelled.weights_of("rkd") == {"distance": 0.5, "angle": 2.0}
    assert spelled.weights_of("pure") == {}


def test_charlie_spells_every_field_and_every_weight_out_and_is_the_default() -> None:
    path = ROOT / "campaigns/charlie.toml"
    written = tomllib.loads(path.read_text())["recipe"]
    assert set(written) == set(Recipe.model_fields)
    charlie = load_campaign(path)
    assert set(written["weights"]) == set(terms_of(charlie.methods))
    assert charlie.recipe.model_dump() == Recipe().model_dump()
    assert len(charlie.experiments()) == 240


def test_what_an_earlier_version_let_pass_is_read_and_continued() -> None:
    theirs = {"epochs": 5, "weights": {"rkd.angel": 3.0}, "representation_epochs": [3, 500], "gone": 1}
    assert Recipe.recorded(theirs).epochs == 5
    assert Recipe.recorded(theirs).batch_size == Recipe().batch_size
    assert recipe_arguments(Recipe.recorded(Recipe().model_dump(mode="json"))) == []
    assert not Recipe(epochs=5, representation_epochs=(3,)).differences(theirs, "rkd")
    assert not Recipe().differences({}, "rkd")


def test_a_field_of_several_values_is_an_option_in_the_singular() -> None:
    assert flag("representation_epochs") == "--representation-epoch"
    assert flag("weights") == "--weight"
    assert flag("epochs") == "--epochs"
    assert recipe_arguments(Recipe(representation_epochs=(3, 9))) == [
        "--representation-epoch", "3", "--representation-epoch", "9",
    ]  # fmt: skip
