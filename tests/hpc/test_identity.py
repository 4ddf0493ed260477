"""What a run is and where it lives; what a campaign is and what it refuses."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_hpc.campaign import Recipe, load_campaign
from kd_hpc.catalogue import DATASETS, METHODS, MODELS
from kd_hpc.command import train_arguments
from kd_hpc.errors import CampaignError, IdentityError
from kd_hpc.experiment import Experiment, format_alpha, parse_path
from tests.hpc.support import CAMPAIGN, STUDENT, TEACHER
from tests.paths import ROOT

SEEDS = st.integers(0, 2**31 - 1)
PURE_RUNS = st.builds(
    Experiment, dataset=st.sampled_from(list(DATASETS)), student=st.sampled_from(list(MODELS)), seed=SEEDS
)
DISTILLED = st.builds(
    Experiment,
    dataset=st.sampled_from(list(DATASETS)),
    method=st.sampled_from(METHODS),
    alpha=st.floats(0, 1),
    teacher=st.sampled_from(list(MODELS)),
    student=st.sampled_from(list(MODELS)),
    seed=SEEDS,
)


@given(PURE_RUNS | DISTILLED)
def test_a_run_and_its_path_say_the_same(experiment: Experiment) -> None:
    fields = parse_path(experiment.path)
    assert fields is not None
    assert Experiment(**fields) == experiment


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
    assert fields is None or set(fields) == {"dataset", "method", "alpha", "teacher", "student", "seed"}


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
    arguments = train_arguments(STUDENT, Recipe(epochs=3, weights={"rkd.angle": 2.0}), Path("/e"), Path("/d"), gpus=1)
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
        "rkd.angle=2.0",
    ]
