"""Another recipe is another run, and a campaign file that changed is told of: before anything is submitted."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kd_hpc.campaign import load_campaign
from kd_hpc.errors import CampaignError
from kd_hpc.experiment import Experiment
from kd_hpc.queueing.changed_campaign import changes, require_own_recipe, trained_otherwise
from kd_hpc.recipe import Recipe
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store
from tests.hpc.killed import snapshot
from tests.hpc.support import CAMPAIGN, PURE, STUDENT, TEACHER, campaign_file, kd_hpc, no_jobs_left, tiny_campaign

FILE = Path("tiny.toml")
ENDED = datetime(2026, 1, 1, tzinfo=UTC)


def record(run: Experiment, state: State = State.COMPLETED, *, epoch: int = 3, **recipe: Any) -> StatusRecord:
    trained = Recipe(**{"epochs": 3, **recipe}).varied(run.differs).model_dump(mode="json")
    attempt = Attempt(token="abcdefgh", scheduler="local", job_id="1")
    return StatusRecord(state=state, experiment=run, epoch=epoch, epochs=3, recipe=trained, attempts=(attempt,))


def filled(root: Path, *records: StatusRecord) -> Store:
    store = Store(root)
    for found in records:
        assert found.experiment
        store.write(found.experiment, found)
    return store


def test_runs_of_the_campaigns_own_recipe_are_its_own(tmp_path: Path) -> None:
    hard = PURE.model_copy(update={"variant": "hard"})
    store = filled(tmp_path, record(TEACHER), record(PURE), record(STUDENT), record(hard))
    require_own_recipe(tiny_campaign(controls=["hard"]), FILE, store)


@pytest.mark.parametrize("state", [State.COMPLETED, State.IN_PROGRESS, State.FAILED, State.SUSPECT])
def test_a_run_with_progress_under_another_recipe_stops_everything(state: State, tmp_path: Path) -> None:
    store = filled(tmp_path, record(TEACHER), record(STUDENT, state, epoch=1, epochs=9, lr=0.05))
    with pytest.raises(CampaignError) as caught:
        require_own_recipe(tiny_campaign(), FILE, store)
    told = str(caught.value)
    assert "tiny.toml: 1 run of this campaign is in" in told
    assert f"{STUDENT.label} (epochs 9, now 3, lr 0.05, now 0.1)" in told
    assert f"kd-hpc archive NAME --experiments {tmp_path}" in told
    assert "kd-hpc queue tiny.toml --experiments tiny" in told


def test_a_queued_job_that_will_train_with_another_recipe_counts(tmp_path: Path) -> None:
    for state, is_other in ((State.QUEUED, True), (State.SUBMITTING, True), (State.NOT_STARTED, False)):
        store = filled(tmp_path / state, record(PURE, state, epoch=0, lr=0.05))
        assert (PURE in trained_otherwise(tiny_campaign(), store)) == is_other


def test_what_changes_no_number_is_no_other_recipe(tmp_path: Path) -> None:
    store = filled(tmp_path, record(STUDENT, label_smoothing=0.3, loader="workers", representation_epochs=(1,)))
    require_own_recipe(tiny_campaign(), FILE, store)


def test_of_many_runs_three_are_named_and_the_others_counted(tmp_path: Path) -> None:
    campaign = tiny_campaign(seeds=[0, 1, 2])
    store = filled(tmp_path, *(record(run, lr=0.05) for run in campaign.experiments()))
    with pytest.raises(CampaignError, match="9 runs of this campaign are in") as caught:
        require_own_recipe(campaign, FILE, store)
    assert str(caught.value).count("lr 0.05, now 0.1") == 3
    assert "and 6 more." in str(caught.value)


def test_an_earlier_rounds_record_without_a_recipe_stops_nothing(tmp_path: Path) -> None:
    store = filled(tmp_path, record(PURE).model_copy(update={"recipe": {}}))
    require_own_recipe(tiny_campaign(), FILE, store)


@pytest.mark.parametrize("words", [(), ("--dry-run",), ("--watch",)])
def test_queue_with_another_recipe_writes_nothing_and_is_exit_2(words: tuple[str, ...], tmp_path: Path) -> None:
    campaign_file(tmp_path, CAMPAIGN.replace("epochs = 3", "epochs = 4"))
    filled(tmp_path / "experiments", record(TEACHER))
    before = snapshot(tmp_path)
    done = kd_hpc("queue", "tiny.toml", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert f"{TEACHER.label} (epochs 3, now 4)" in done.stderr
    assert snapshot(tmp_path) == before
    elsewhere = kd_hpc("queue", "tiny.toml", "--experiments", "tiny", "--dry-run", cwd=tmp_path)
    assert elsewhere.returncode == 0, elsewhere.stderr


def test_seeds_that_came_and_went_are_told_with_what_stays(tmp_path: Path) -> None:
    store = filled(tmp_path / "experiments", record(TEACHER), record(PURE))
    remembered = campaign_file(tmp_path, CAMPAIGN.replace("seeds = [0, 1]", "seeds = [0]"), "remembered.toml")
    now = load_campaign(campaign_file(tmp_path, CAMPAIGN.replace("seeds = [0, 1]", "seeds = [1]")))
    new, gone = changes(now, remembered, store)
    assert new == (
        "New since tiny was queued last: 3 runs: Digits/pure/ResNet20/1, Digits/pure/ResNetBaby/1, "
        "Digits/logit/alpha_0.5/ResNet20_to_ResNetBaby/1."
    )
    assert "No longer planned by tiny: 3 runs: Digits/logit" in gone
    assert gone.endswith("; 2 of them on disk, where they stay.")
    assert list(changes(now, tmp_path / "tiny.toml", store)) == []
    assert list(changes(now, tmp_path / "never.toml", store)) == []


def test_queue_tells_of_new_runs_once(tmp_path: Path) -> None:
    campaign_file(tmp_path, CAMPAIGN.replace("seeds = [0, 1]", "seeds = [0]"))
    with no_jobs_left(tmp_path):
        first = kd_hpc("queue", "tiny.toml", cwd=tmp_path)
        campaign_file(tmp_path)
        second, third = (kd_hpc("queue", "tiny.toml", cwd=tmp_path) for _ in range(2))
    assert ["New since" in done.stderr for done in (first, second, third)] == [False, True, False]


def test_a_campaign_without_runs_is_not_closed_with_anothers(tmp_path: Path) -> None:
    store = filled(tmp_path / "experiments", *(record(run).with_attempt(ended_at=ENDED) for run in (TEACHER, PURE)))
    folder = store.root / ".kd/campaigns"
    folder.mkdir(parents=True)
    for name, text in {
        "tiny": CAMPAIGN,
        "other_seeds": CAMPAIGN.replace("seeds = [0, 1]", "seeds = [7]"),
        "other_recipe": CAMPAIGN.replace("epochs = 3", "epochs = 4"),
        "of_an_earlier_version": "not = 'understood'",
    }.items():
        campaign_file(folder, text.replace('name = "tiny"', f'name = "{name}"'), f"{name}.toml")
    done = kd_hpc("archive", "first", "--no-job-is-alive", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    journal = json.loads((tmp_path / "analysis/experiment_first/closing.json").read_text())
    assert journal["campaigns"].split() == ["of_an_earlier_version", "tiny"]
