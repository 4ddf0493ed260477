"""The options of `kd-core train` are the fields of a recipe; a field is added in one place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from kd_core.commands.recipe_options import recipe_from
from kd_hpc.command import flag, recipe_arguments
from kd_hpc.errors import UsageError
from kd_hpc.recipe import Recipe
from tests.paths import ROOT

AWAY = Recipe(
    epochs=7, batch_size=9, lr=0.3, momentum=0.5, weight_decay=0.25, label_smoothing=0.2, temperature=2.5,
    augmentation="none", loader="workers", amp_dtype="bfloat16", step="plain", paraphraser_epochs=3, watchdog_skips=4,
    weights={"rkd.angle": 0.125, "rkd.distance": 3.0}, representation_epochs=(2, 7),
    checkpoint_epochs=(1, 6), validation=20, schedule="multistep", milestones=(3, 5), factor=0.5, mix="sum",
    convex=("logit",), calibrated=0.25,
)  # fmt: skip
FIXED = ["--dataset", "Digits", "--seed", "0"]


def train_command() -> Any:
    from kd_core.cli import app

    return get_command(app).commands["train"]  # type: ignore[attr-defined] # a group


def test_every_field_is_an_option_with_its_default_and_meaning() -> None:
    command = train_command()
    options = {option.name: option for option in command.get_params(command.make_context("train", [*FIXED]))}
    assert all(getattr(AWAY, name) != field.default for name, field in Recipe.model_fields.items())
    for name, field in Recipe.model_fields.items():
        option = options[name]
        assert option.opts == [flag(name)]
        assert field.description
        assert option.help.startswith(field.description)
        assert (option.default or field.default) == field.default


def test_what_kd_hpc_spells_kd_core_reads_back() -> None:
    for recipe in (Recipe(), AWAY):
        typed = train_command().make_context("train", [*FIXED, *recipe_arguments(recipe)]).params
        assert recipe_from({name: typed[name] for name in Recipe.model_fields}) == recipe


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({"epochs": 0}, "--epochs: Input should be greater than or equal to 1 (got 0)"),
        ({"weights": ["rkd.angle"]}, "--weight: Input should be a valid number"),
        ({"representation_epochs": [200]}, "--representation-epoch: epoch 200 never ends; epochs are 1 to 150"),
        ({"step": "quick"}, "--step: Input should be 'fast' or 'plain' (got 'quick')"),
    ],
)
def test_a_value_that_cannot_be_names_its_option(typed: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        recipe_from(typed)
    assert caught.value.what.startswith(told)


FIELD = '    flat_epochs: int = Field(0, ge=0, description="Epochs at the first learning rate before the cosine.")\n'
RATE = "learning_rate(self.recipe, self.epoch)"
FLAT_RATE = "learning_rate(self.recipe, max(0, self.epoch - self.recipe.flat_epochs))"
CAMPAIGN = """
name = "flat"
datasets = ["Digits"]
teacher = "ResNetBaby"
student = "ResNetBaby"
seeds = [0]

[recipe]
epochs = 3
batch_size = 512
flat_epochs = 1

[scheduler]
kind = "local"
"""
PROGRAMS = {name: f"from {name}.cli import main; main()" for name in ("kd_hpc", "kd_core")}


def test_a_recipe_field_is_one_line_to_declare_and_one_to_use(tmp_path: Path) -> None:
    for package in ("kd-hpc", "kd-core"):
        shutil.copytree(ROOT / "packages" / package / "src", tmp_path / "src", dirs_exist_ok=True)
    declare(tmp_path / "src/kd_hpc/recipe.py", "    batch_size: int = Field(", FIELD)
    use(tmp_path / "src/kd_core/training/student.py", RATE, FLAT_RATE)
    (tmp_path / "flat.toml").write_text(CAMPAIGN)
    (tmp_path / "bin").mkdir()
    trainer = tmp_path / "bin/kd-core"
    trainer.write_text(f"#!{sys.executable}\n{PROGRAMS['kd_core']}\n")
    trainer.chmod(0o755)
    assert "--flat-epochs" in typed_in(tmp_path, "kd_core", "train", "--help")
    typed_in(tmp_path, "kd_hpc", "queue", "flat.toml", "--watch")
    (run,) = tmp_path.glob("experiments/Digits/pure/ResNetBaby/0")
    assert json.loads((run / "status.json").read_text())["recipe"]["flat_epochs"] == 1
    rates = json.loads((run / "metrics.json").read_text())["lr"]
    assert rates[0] == rates[1] > rates[2]


def declare(path: Path, before: str, line: str) -> None:
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, line + before))


def use(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def typed_in(root: Path, program: str, *words: str) -> str:
    environment = {
        **os.environ,
        "PYTHONPATH": str(root / "src"),
        "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-c", PROGRAMS[program], *words]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
