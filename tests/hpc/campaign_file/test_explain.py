"""A campaign file that cannot be meant like that: its line, what is wrong with it, what to write instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd_hpc.campaign import load_campaign
from kd_hpc.errors import CampaignError
from kd_hpc.screen.near import did_you_mean, nearest_file

LINES = {
    "name": '"mine"',
    "datasets": '["Digits"]',
    "teacher": '"ResNet20"',
    "student": '"ResNetBaby"',
    "methods": '["logit"]',
    "alphas": "[0.5]",
    "seeds": "[0]",
}
SLIPS = {
    "a number for a list": ({"seeds": "0"}, "", "seeds = 0 is not a list. Write seeds = [0]."),
    "a word for a list": ({"methods": '"logit"'}, "", 'methods = "logit" is not a list. Write methods = ["logit"].'),
    "a quoted number": (
        {},
        '[recipe]\nepochs = "3"',
        'recipe.epochs = "3" is text, not a number. Write it without quotes: epochs = 3.',
    ),
    "a quoted number in a list": (
        {"seeds": '["0"]'},
        "",
        '"0" in seeds is text, not a number. Write it without quotes: 0.',
    ),
    "true for a number": (
        {},
        "[recipe]\nepochs = true",
        "recipe.epochs = true is not a number. Write epochs = 3, say.",
    ),
    "half an epoch": (
        {},
        "[recipe]\nepochs = 3.5",
        "recipe.epochs = 3.5 is not a whole number. Write epochs = 4, say.",
    ),
    "too large": ({"alphas": "[1.5]"}, "", "1.5 in alphas is out of range. It must be at most 1."),
    "too small": ({}, "[recipe]\nlr = 0.0", "recipe.lr = 0.0 is out of range. It must be more than 0."),
    "a number for a size": (
        {},
        "[resources]\nmemory = 16",
        'resources.memory = 16 is not text. Write it in quotes: memory = "...".',
    ),
    "an empty list": ({"datasets": "[]"}, "", "datasets = [] is empty. Name at least one: datasets = [...]."),
    "a slip in a key": ({}, "[recipe]\nepoch = 3", "recipe.epoch is not a known key. Did you mean epochs?"),
    "a slip in a table": ({}, "[resource]", "resource is not a known key. Did you mean resources?"),
    "the wrong table": (
        {},
        "[recipe]\nslots = 3",
        "recipe.slots is not a known key. It belongs below a line [scheduler].",
    ),
    "a line for a table": (
        {},
        "[recipe]\nweights = 3",
        "recipe.weights = 3 is not a table. Write a line [recipe.weights], and what belongs into it below.",
    ),
    "a slip in a method": ({"methods": '["logits"]'}, "", "method 'logits' is not known. Did you mean logit?"),
    "a slip in a data set": ({"datasets": '["digit"]'}, "", "data set 'digit' is not known. Did you mean Digits?"),
    "images nobody trains on": (
        {},
        '[data.Mine]\nfolder = "mine"',
        "data.Mine is not used: add 'Mine' to datasets, or delete it. Mend those lines.",
    ),
    "images by a published name": (
        {},
        '[data.Digits]\nfolder = "mine"',
        "data.Digits: Digits is a published data set; give yours another name. Mend those lines.",
    ),
    "a part of an unknown archive": (
        {"datasets": '["Mine"]'},
        '[data.Mine]\nfolder = "mine"\nsubset_of = "ImageNet"',
        "data.Mine.subset_of: ImageNet is no published data set. Mend those lines.",
    ),
    "a part resized": (
        {"datasets": '["Mine"]'},
        '[data.Mine]\nfolder = "mine"\nsubset_of = "TinyImageNet"\nsize = 32',
        "data.Mine.size: an archive with subset_of is taken as it is; delete it. Mend those lines.",
    ),
    "images without a folder": (
        {"datasets": '["Mine"]'},
        "[data.Mine]\nsize = 32",
        "data.Mine.folder is missing. Add a line folder = ...",
    ),
    "an accuracy of no run": (
        {},
        "[published]\nrkd = 71.8",
        "published.rkd is no run here; there are teacher, student, logit. Mend those lines.",
    ),
    "accuracies of which alpha": (
        {"alphas": "[0.5, 0.9]"},
        "[published]\nlogit = 71.8",
        "published is about one data set and one alpha: make a campaign of them. Mend those lines.",
    ),
    "an impossible accuracy": (
        {},
        "[published]\nlogit = 718.0",
        "published.logit = 718.0 is out of range. It must be at most 100.",
    ),
    "a slip in a model": ({"teacher": '"Resnet20"'}, "", "model 'Resnet20' is not known. Did you mean ResNet20?"),
}


def written(folder: Path, changed: dict[str, str], tables: str) -> Path:
    path = folder / "mine.toml"
    path.write_text("\n".join(f"{key} = {value}" for key, value in (LINES | changed).items()) + f"\n{tables}\n")
    return path


@pytest.mark.parametrize(("changed", "tables", "message"), SLIPS.values(), ids=SLIPS)
def test_a_slip_is_explained_in_the_files_own_terms(
    changed: dict[str, str], tables: str, message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, changed, tables)
    with pytest.raises(CampaignError) as error:
        load_campaign(path)
    assert str(error.value) == f"{path}: {message}"


def test_the_file_without_a_slip_is_a_campaign(tmp_path: Path) -> None:
    assert len(load_campaign(written(tmp_path, {}, "")).experiments()) == 3
    own = written(tmp_path, {"datasets": '["Digits", "Mine"]'}, '[data.Mine]\nfolder = "mine"')
    assert len(load_campaign(own).experiments()) == 6


@pytest.mark.parametrize("typed", ["digits", "digits.toml", "campaigns/digit.toml", "Digits.toml"])
def test_a_file_that_is_not_there_names_the_one_that_was_meant(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CampaignError, match="Make one: kd-hpc init"):
        load_campaign(Path(typed))
    Path("campaigns").mkdir()
    for name in ("digits", "charlie"):
        Path(f"campaigns/{name}.toml").touch()
    with pytest.raises(CampaignError, match=r"Did you mean campaigns/digits\.toml\?"):
        load_campaign(Path(typed))
    with pytest.raises(CampaignError, match=r"There are campaigns/charlie\.toml, campaigns/digits\.toml"):
        load_campaign(Path("something-else.toml"))


def test_only_what_is_near_was_meant() -> None:
    known = ["Cifar10", "Cifar100", "SVHN"]
    assert did_you_mean("cifar100", known) == "Did you mean Cifar100?"
    assert did_you_mean("svnh", known) == "Did you mean SVHN?"
    assert did_you_mean("ImageNet", known) == ""


def test_a_campaign_beside_the_one_that_was_typed_is_nearer_than_one_in_the_usual_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "campaigns").mkdir()
    for name in ("campaigns/charlie.toml", "charlie.toml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert nearest_file(Path("charlei.toml"), "campaigns/*.toml") == Path("charlie.toml")
    assert nearest_file(Path("elsewhere/charlei.toml"), "campaigns/*.toml") == Path("campaigns/charlie.toml")
