"""Campaign and site files as people's editors save them, and files that are none: read, or refused in a moment."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from kd_hpc.campaign import load_campaign
from kd_hpc.campaign_file.toml_text import MOST_BYTES, tables_of
from kd_hpc.errors import CampaignError
from tests.hpc import support

CAMPAIGN = support.CAMPAIGN.replace("{venv}", "venv")
PBS = CAMPAIGN.replace('kind = "local"', 'kind = "pbs"')


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "campaigns").mkdir()
    (tmp_path / "campaigns/tiny.toml").write_text(PBS)
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_mark_before_the_first_line_and_crs_are_read_over(encoding: str, line_end: str, tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_bytes(CAMPAIGN.replace("\n", line_end).encode(encoding))
    assert load_campaign(path).name == "tiny"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (CAMPAIGN.encode("utf-16"), "saved as UTF-16, and must be UTF-8"),
        (b'name = "x"\n# \xe9t\xe9\n', "not saved as UTF-8 (at line 2)"),
        (b"a = " + b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b".".join([b"a"] * 100_000) + b" = 1", "a key of more than 20 parts"),
        (b"a = " + b"9" * 200_000, "4300 digits"),
        (b"#" * (MOST_BYTES + 1), f"more than the {MOST_BYTES} that can be meant"),
        (b'name = "x\n', "line 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_toml_of_ours_is_named_in_a_moment(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_bytes(content)
    before = time.process_time()
    with pytest.raises(CampaignError) as refusal:
        load_campaign(path)
    assert time.process_time() - before < 20
    assert told in refusal.value.what


LONG = {"seeds": list(range(1000)), "alphas": [number / 1000 for number in range(1000)]}


@pytest.mark.parametrize(
    ("lists", "told"),
    [
        ({"seeds": list(range(1001))}, "seeds lists 1,001 values, and 1,000 are the most"),
        (LONG, "it asks for up to 1,000,000 runs, and 100,000 are the most"),
    ],
    ids=["a list", "a grid"],
)
def test_a_campaign_beyond_all_reason_is_refused_in_a_moment(
    lists: dict[str, list[float]], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "tiny.toml"
    text = CAMPAIGN
    for name, values in lists.items():
        text = re.sub(rf"^{name} = .*", f"{name} = {values}", text, flags=re.MULTILINE)
    path.write_text(text)
    before = time.process_time()
    with pytest.raises(CampaignError, match=told):
        load_campaign(path)
    assert time.process_time() - before < 20


def test_numbers_with_points_are_no_long_key() -> None:
    listed = ", ".join(f"0.{number}" for number in range(1, 200))
    assert len(tables_of(f"alphas = [{listed}]".encode())["alphas"]) == 199


@pytest.mark.parametrize("where", ["site.toml", "campaigns/site.toml"])
def test_the_site_file_counts_where_the_campaign_says_nothing(where: str, place: Path) -> None:
    (place / where).write_text('[resources]\naccount = "ABCD1234"\nwalltime = "09:00:00"\n')
    found = load_campaign(Path("campaigns/tiny.toml")).resources
    assert (found.project, found.walltime) == ("ABCD1234", "00:10:00")


def test_the_old_placeholder_is_as_good_as_nothing_said(place: Path) -> None:
    (place / "site.toml").write_text('[resources]\nproject = "ABCD1234"\n')
    path = place / "campaigns/tiny.toml"
    path.write_text(PBS.replace("[resources]", '[resources]\nproject = "YOUR-PROJECT-CODE"'))
    assert load_campaign(path).resources.project == "ABCD1234"
    path.write_text(PBS.replace("[resources]", '[resources]\nproject = "MINE0001"'))
    assert load_campaign(path).resources.project == "MINE0001"


def test_a_campaign_kept_elsewhere_knows_the_site_file_of_this_folder(place: Path, tmp_path: Path) -> None:
    (place / "site.toml").write_text('[resources]\nproject = "ABCD1234"\n')
    kept = place / "experiments/.kd/campaigns/tiny.toml"
    kept.parent.mkdir(parents=True)
    kept.write_text(PBS)
    assert load_campaign(kept).resources.project == "ABCD1234"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[resources]\nprojct = "A"\n', "resources.projct is not a known key"),
        ('[resources]\nproject = "$(id)"\n', "could change the meaning of a job script"),
        ("[recipe]\nlr = 1.0\n", "recipe is not a known key"),
        ("resources = 3\n", "is not a table"),
        ("[resources\n", "not TOML"),
    ],
)
def test_a_site_file_is_checked_like_a_campaign_and_named(text: str, told: str, place: Path) -> None:
    (place / "site.toml").write_text(text)
    with pytest.raises(CampaignError) as refusal:
        load_campaign(Path("campaigns/tiny.toml"))
    assert refusal.value.what.startswith("site.toml")
    assert told in refusal.value.what
