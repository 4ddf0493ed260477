"""A campaign's recipe is not every run's: pure runs mix nothing, exceptions are convex, and that is no other recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kd_analysis.reading.runs_table import collect
from kd_hpc.campaign import Campaign
from kd_hpc.recipe import Recipe
from kd_hpc.triage.run_directory import identity_of
from tests.analysis.trees import TreeSpec, build_tree

SPEC = TreeSpec(methods=("logit", "dkd", "rkd"), alphas=(0.5,), items=0)
RECIPE = Recipe(
    epochs=SPEC.epochs, mix="sum", convex=("logit",), calibrated=0.5, schedule="multistep", milestones=(9,), factor=0.2
)
CAMPAIGN = Campaign(
    name="own",
    datasets=SPEC.datasets,
    teacher=SPEC.teacher,
    student=SPEC.student,
    methods=SPEC.methods,
    alphas=SPEC.alphas,
    seeds=SPEC.seeds,
    recipe=RECIPE,
)


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """All runs of the campaign, as kd-core records them."""
    build_tree(tmp_path, SPEC)
    for run in CAMPAIGN.experiments():
        change(tmp_path / run.path / "status.json", **CAMPAIGN.recipe_for(run).model_dump(mode="json"))
    return tmp_path


def change(record: Path, **recipe: Any) -> None:
    content = json.loads(record.read_text())
    content["recipe"].update(recipe)
    record.write_text(json.dumps(content))


def others(root: Path, campaign: Campaign | None) -> dict[str, str]:
    """Runs of another recipe, with the evidence."""
    return {
        item.run.path: finding.evidence
        for item in collect(root, campaign).runs
        for finding in item.findings
        if finding.code == "other_recipe"
    }


@pytest.mark.parametrize("campaign", [CAMPAIGN, None], ids=["planned", "by majority"])
def test_runs_trained_as_the_campaign_says_are_of_its_recipe(campaign: Campaign | None, trained: Path) -> None:
    assert others(trained, campaign) == {}
    assert collect(trained, CAMPAIGN).expected == tuple(map(identity_of, CAMPAIGN.experiments()))


CHANGES: dict[str, tuple[str, dict[str, Any], str]] = {
    "an exception that was summed": ("logit", {"mix": "sum"}, "mix sum, the campaign's is convex"),
    "a sum that was not": ("rkd", {"mix": "convex"}, "mix convex, the campaign's is sum"),
    "weights as they were": ("dkd", {"calibrated": 0.0}, "calibrated 0, the campaign's is 0.5"),
    "another temperature where logits are softened": (
        "dkd",
        {"temperature": 2.0},
        "temperature 2, the campaign's is 4",
    ),
    "another factor": ("rkd", {"factor": 0.1}, "factor 0.1, the campaign's is 0.2"),
}


@pytest.mark.parametrize(("method", "recipe", "told"), CHANGES.values(), ids=CHANGES)
def test_what_acts_on_a_run_and_differs_is_told(method: str, recipe: dict[str, Any], told: str, trained: Path) -> None:
    run = next(run for run in CAMPAIGN.experiments() if run.method == method)
    change(trained / run.path / "status.json", **recipe)
    assert others(trained, CAMPAIGN) == {str(run.path): f"another recipe: {told}"}


def test_what_does_not_act_on_a_run_is_no_difference(trained: Path) -> None:
    run = next(run for run in CAMPAIGN.experiments() if run.method == "rkd")
    change(trained / run.path / "status.json", temperature=2.0, paraphraser_epochs=3, convex=["logit"])
    assert others(trained, CAMPAIGN) == {}
