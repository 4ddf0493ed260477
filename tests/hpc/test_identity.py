"""What a run is and where it lives; what a campaign is and what it refuses."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_hpc.campaign import load_campaign
from kd_hpc.catalogue import DATASETS, METHODS, MODELS
from kd_hpc.command import train_arguments
from kd_hpc.errors import CampaignError, IdentityError
from kd_hpc.experiment import Experiment, parse_path
from kd_hpc.recipe import Recipe
from kd_hpc.variant import format_alpha
from tests.hpc.support import CAMPAIGN, PURE, STUDENT, TEACHER
from tests.paths import ROOT

SEEDS = st.integers(0, 2**31 - 1)
PURE_RUNS = st.builds(
    Experiment, dataset=st.sampled_from(list(DATASETS)), student=st.sampled_from(list(MODELS)), seed=SEEDS
)
DISTILLED = st.builds(
    Experiment,
    dataset=st.sampled_from(list(DATASETS)),
    method=st.sampled_from(list(METHODS)),
    alpha=st.floats(0, 1),
    teacher=st.sampled_from(list(MODELS)),
    student=st.sampled_from(list(MODELS)),
    seed=SEEDS,
)


SETTINGS = st.dictionaries(
    st.sampled_from(["temperature", "lr", "batch_size"]), st.sampled_from(["2", "0.05", "crop-flip"]), max_size=2
)


@st.composite
def variants(draw: st.DrawFn) -> Experiment:
    """Any run, and how it differs: control arms, settings, forks of either kind of run."""
    run = draw(PURE_RUNS | DISTILLED)
    arms = ["hard"] if run.is_pure else ["random_teacher", "shuffled", f"other_teacher_{run.seed ^ 1}"]
    parts = draw(st.lists(st.sampled_from(arms), max_size=1))
    parts += [f"{name}_{value}" for name, value in sorted(draw(SETTINGS).items())]
    parents = ["pure", "pure--hard"] if run.is_pure else ["pure", "rkd_0.5", "factor_transfer--shuffled_0.25"]
    parts += [f"at_{draw(st.integers(1, 300))}_of_{draw(st.sampled_from(parents))}"] if draw(st.booleans()) else []
    return run.model_copy(update={"variant": "+".join(parts)})


@given(PURE_RUNS | DISTILLED | variants())
def test_a_run_and_its_path_say_the_same(experiment: Experiment) -> None:
    fields = parse_path(experiment.path)
    assert fields is not None
    assert Experiment(**fields) == experiment
    assert Experiment.model_validate(experiment.model_dump()) == experiment


@given(st.floats(0, 1))
def test_alphas_print_as_the_shortest_decimal_that_reads_back(alpha: float) -> None:
    text = format_alpha(alpha)
    assert float(text) == alpha
    assert "e" not in text
    assert not (("." in text) and text.endswith(("0", ".")))


def test_paths_are_those_of_the_contract() -> None:
    assert STUDENT.path == PurePosixPath("Digits/logit/alpha_0.5/ResNet20_to_ResNetBaby/0")
    assert TEACHER.path == PurePosixPath("Digits/pure/ResNet20/0")
    assert STUDENT.teacher_run == TEACHER
    assert TEACHER.teacher_run is None


def test_paths_name_what_differs_behind_the_method() -> None:
    def path(run: Experiment, variant: str) -> str:
        return str(run.model_copy(update={"variant": variant}).path)

    assert path(PURE, "hard") == "Digits/pure+hard/ResNetBaby/0"
    assert path(STUDENT, "random_teacher") == "Digits/logit+random_teacher/alpha_0.5/ResNet20_to_ResNetBaby/0"
    assert path(STUDENT, "temperature_2").startswith("Digits/logit+temperature_2/alpha_0.5/")
    assert path(STUDENT, "at_9_of_rkd_0.25").startswith("Digits/logit+at_9_of_rkd_0.25/alpha_0.5/")


def test_a_control_arm_says_whose_teacher_a_student_has() -> None:
    def variant(text: str) -> Experiment:
        return STUDENT.model_copy(update={"variant": text})

    assert variant("random_teacher").teacher_run is None
    assert variant("other_teacher_2").teacher_run == TEACHER.model_copy(update={"seed": 2})
    assert variant("shuffled").teacher_run == variant("temperature_2").teacher_run == TEACHER


def test_a_fork_names_the_run_whose_first_epochs_it_shares() -> None:
    def parent(text: str) -> Experiment | None:
        return STUDENT.model_copy(update={"variant": text}).parent

    assert parent("") is None
    assert parent("at_9_of_pure") == PURE
    assert parent("at_9_of_factor_transfer_0.25") == STUDENT.model_copy(
        update={"method": "factor_transfer", "alpha": 0.25}
    )
    assert parent("at_9_of_logit--shuffled_0.5") == STUDENT.model_copy(update={"variant": "shuffled"})


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"variant": "shuffled"}, "A pure run has no teacher to control for"),
        ({"method": "rkd", "teacher": "ResNet20", "alpha": 0.5, "variant": "hard"}, "hard has no method"),
        ({"method": "rkd", "teacher": "ResNet20", "alpha": 0.5, "variant": "other_teacher_0"}, "is this run's own"),
        ({"method": "rkd+x", "teacher": "ResNet20", "alpha": 0.5}, "no usable name"),
        ({"variant": "harder"}, "neither a control arm nor a setting nor a fork"),
        ({"variant": "hard+hard"}, "neither a control arm nor a setting nor a fork"),
        ({"variant": "lr_0.1+lr_0.2"}, "neither"),
        ({"variant": "momentum_0.5+lr_0.1"}, "Write 'lr_0.1[+]momentum_0.5'"),
        ({"variant": "at_0_of_pure"}, "neither"),
        ({"variant": "at_9_of_rkd_0.5"}, "A pure run cannot go on from a distilled one"),
        ({"variant": "at_9_of_pure--at_5_of_pure"}, "A fork of a fork"),
        ({"variant": "+".join(f"{letter * 9}_1" for letter in "abcdefghijklmnopqrstuvwxyz")}, "more differences"),
    ],
)
def test_a_variant_that_makes_no_sense_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(IdentityError, match=words):
        Experiment.model_validate({"dataset": "Digits", "student": "ResNetBaby", "seed": 0} | fields)


@pytest.mark.parametrize("name", ["a/b", "a\nb", "", "..", "-x", "a b", "$(x)", "a" * 65, "\u00e9"])
@pytest.mark.parametrize("field", ["dataset", "student"])
def test_names_that_are_no_single_safe_word_are_refused(field: str, name: str) -> None:
    with pytest.raises(IdentityError):
        Experiment(**{"dataset": "Digits", "student": "ResNet20", "seed": 0, field: name})


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "rkd", "alpha": 0.5},
        {"method": "rkd", "teacher": "ResNet20"},
        {"alpha": 0.5},
        {"teacher": "ResNet20"},
        {"method": "rkd", "teacher": "ResNet20", "alpha": 1.5},
        {"method": "rkd", "teacher": "ResNet20", "alpha": float("nan")},
        {"seed": -1},
        {"seed": 2**31},
    ],
)
def test_combinations_that_are_no_experiment_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(IdentityError):
        Experiment.model_validate({"dataset": "Digits", "student": "ResNet20", "seed": 0} | fields)


@given(st.lists(st.text(max_size=12), max_size=7))
def test_any_path_is_a_run_or_none(parts: list[str]) -> None:
    fields = parse_path(PurePosixPath(*parts)) if parts else None
    assert fields is None or set(fields) == {"dataset", "method", "alpha", "teacher", "student", "seed", "variant"}


def test_charlie_is_240_runs_and_every_teacher_is_among_them() -> None:
    grid = load_campaign(ROOT / "campaigns/charlie.toml").experiments()
    assert len(set(grid)) == len(grid) == 240
    assert sum(run.is_pure for run in grid) == 24
    assert all(run.teacher_run in grid for run in grid if not run.is_pure)


def load(tmp_path: Path, text: str) -> None:
    path = tmp_path / "campaign.toml"
    path.write_text(text.replace("{venv}", "venv"))
    load_campaign(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("epochs = 3", "epochs = 0"), "recipe.epochs"),
        (("epochs = 3", 'epochs = "many"'), "recipe.epochs"),
        (("epochs = 3", "amp = true"), "recipe.amp is not a known key"),
        (("seeds = [0, 1]", "seeds = [0, 0]"), "0 is listed twice"),
        (("seeds = [0, 1]", "seeds = []"), "seeds"),
        (("seeds = [0, 1]", ""), "seeds is missing"),
        (("alphas = [0.5]", "alphas = []"), "methods and alphas need each other"),
        (("00:10:00", "10 minutes"), "resources.walltime"),
        (('"ResNet20"', '"ResNet21"'), "ResNet21"),
        (('kind = "local"', 'kind = "lsf"'), "scheduler.kind"),
        (("slots = 2", "slots = 0"), "scheduler.slots"),
        (("[resources]", '[resources]\nmemory = "lots"'), "resources.memory"),
        (("[resources]", '[resources]\nmodules = ["a`b`"]'), "resources.modules"),
        (("[resources]", '[resources]\nproject = "x\\ny"'), "resources.project"),
    ],
)
def test_a_campaign_refuses_what_it_does_not_mean_naming_file_and_field(
    tmp_path: Path, change: tuple[str, str], words: str
) -> None:
    load(tmp_path, CAMPAIGN)
    assert change[0] in CAMPAIGN
    with pytest.raises(CampaignError) as refused:
        load(tmp_path, CAMPAIGN.replace(*change))
    assert words in str(refused.value)
    assert "campaign.toml" in refused.value.what
    assert refused.value.remedy
    assert refused.value.exit_code == 2


def test_the_trainer_s_command_line_spells_out_only_what_differs() -> None:
    arguments = train_arguments(STUDENT, Recipe(epochs=3, weights={"logit.kl": 2.0}), Path("/e"), Path("/d"), gpus=1)
    assert arguments == [
        "train",
        "--experiments",
        "/e",
        "--data",
        "/d",
        "--dataset",
        "Digits",
        "--method",
        "logit",
        "--alpha",
        "0.5",
        "--teacher",
        "ResNet20",
        "--student",
        "ResNetBaby",
        "--seed",
        "0",
        "--device",
        "cuda",
        "--epochs",
        "3",
        "--weight",
        "logit.kl=2.0",
    ]
