"""What every reading command prints as JSON is what docs/guide/json.md says, field by field."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from kd_core import method_listing
from kd_core.commands.methods import methods
from tests import broken_tree, half_done_tree
from tests.documented import KINDS, PAGE, complaints, documented
from tests.hpc.support import HANGS

FIELDS = documented()
QUICK = {
    "kd-hpc status": ["kd-hpc status charlie.toml", "kd-hpc status 'SVHN/*'", "kd-hpc status --experiments practice"],
    "kd-hpc why": ["kd-hpc why SVHN/pure/ResNet112/2", "kd-hpc why 7002748 --campaign charlie.toml"],
    "kd-hpc why, of several": ["kd-hpc why 'SVHN/*'"],
    "kd-hpc check": ["kd-hpc check --experiments mine", "kd-hpc check --experiments practice --deep"],
    "kd-hpc diagnose": [
        "kd-hpc diagnose Digits/pure/ResNet20/0 --experiments practice",
        "kd-hpc diagnose SVHN/pure/ResNet112/0",
    ],
    "kd-hpc forecast": [
        "kd-hpc forecast charlie.toml",
        "kd-hpc forecast practice/campaign.toml --experiments practice",
    ],
    "kd-hpc simulate": ["kd-hpc simulate practice/campaign.toml --worlds 2"],
    "kd-hpc doctor": ["kd-hpc doctor practice/campaign.toml"],
    "kd-hpc queue": [
        "kd-hpc queue charlie.toml --dry-run",
        "kd-hpc queue practice/campaign.toml --experiments practice --dry-run",
    ],
    "kd-core methods": ["kd-core methods"],
    "kd-core methods --calibrate": [
        "kd-core methods --calibrate 0.5 --teacher Digits/pure/ResNetBaby/0 --student ResNetBaby --experiments mine"
    ],
    "kd-core evaluate": ["kd-core evaluate Digits/pure/ResNetBaby/0 --experiments mine"],
    "kd-core audit": ["kd-core audit Digits/pure/ResNetBaby/0 --experiments mine"],
    "kd-core data verify": ["kd-core data verify Digits"],
    "kd-core bench": [
        "kd-core bench --teacher ResNetBaby --student ResNetBaby --dataset Digits --batch-size 8 --students 2"
        " --method logit --rounds 2 --steps 1"
    ],
    "kd-analysis triage": ["kd-analysis triage practice"],
    "kd-analysis plots": ["kd-analysis plots mine"],
    "kd-analysis methodology": ["kd-analysis methodology practice --campaign practice/campaign.toml"],
    "kd-analysis weekly": ["kd-analysis weekly --experiments practice --campaign practice/campaign.toml"],
}
"""Commands to type for each heading of the page, but for one."""
PROBE = "kd-core methods --probe"
"""Of networks that a test can afford; test_docs.py types it as it is."""
ENDS = {"kd-hpc check": (0, 1), "kd-hpc doctor": (0, 1), "kd-hpc queue": (0, 1, 75)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, warm_programs: Path) -> Path:
    """Runs half done, runs that came to grief, and one that was really trained; in bin, the programs."""
    place = tmp_path_factory.mktemp("json")
    (place / "bin").symlink_to(warm_programs)
    half_done_tree.make(place / "experiments")
    (place / "experiments/campaign.toml").rename(place / "charlie.toml")
    broken_tree.make(place / "practice")
    typed("kd-core train --dataset Digits --model ResNetBaby --seed 0 --epochs 1 --experiments mine", place)
    return place


def typed(line: str, place: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{place}/bin:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        line,
        shell=True,
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS,
    )


@pytest.mark.parametrize("heading", QUICK)
def test_what_is_printed_is_what_is_documented(heading: str, place: Path) -> None:
    for line in QUICK[heading]:
        done = typed(f"{line} --json", place)
        assert done.returncode in ENDS.get(heading, (0,)), done.stderr
        assert list(complaints(json.loads(done.stdout), FIELDS[heading])) == [], line
        assert json.loads(done.stdout)["schema_version"] == 1


def test_a_probe_prints_what_is_documented(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    small = partial(method_listing.probe, student="ResNetBaby", teacher="ResNetBaby", batch_size=2)
    monkeypatch.setattr(method_listing, "probe", small)
    methods(probe=True, as_json=True)
    assert list(complaints(json.loads(capsys.readouterr().out), FIELDS[PROBE])) == []


def test_a_real_round_prints_what_is_documented(place: Path) -> None:
    text = (place / "practice/campaign.toml").read_text()
    (place / "two.toml").write_text(re.sub(r"epochs = \d+", "epochs = 1", text).replace("[0, 1, 2, 3]", "[0]"))
    done = typed("kd-hpc queue two.toml --experiments two --json", place)
    typed("kd-hpc cancel --yes '*' --experiments two", place)
    found = json.loads(done.stdout)
    assert found["acted"]
    assert list(complaints(found, FIELDS["kd-hpc queue"])) == []
    decision = {path: kind for path, kind in FIELDS["kd-hpc queue"].items() if path.startswith("decisions")}
    assert list(complaints({"decisions": found["acted"]}, decision)) == []


def test_every_command_that_has_json_is_on_the_page() -> None:
    programs = {re.split(r",| --", heading)[0] for heading in FIELDS}
    with_json = {command for command, options in json_options().items() if options}
    assert with_json == programs
    assert {*QUICK, PROBE} == set(FIELDS)


def json_options() -> dict[str, bool]:
    """Whether each command has --json."""
    from kd_analysis.cli import app as analysis
    from kd_core.cli import app as core
    from kd_hpc.cli import app as hpc

    def walk(command: Any, words: str) -> Iterator[tuple[str, bool]]:
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, f"{words} {name}")
        yield words, any("--json" in parameter.opts for parameter in command.params)

    return dict(pair for app in (hpc, core, analysis) for pair in walk(get_command(app), str(app.info.name)))


def test_the_page_uses_only_types_it_explains() -> None:
    for fields in FIELDS.values():
        assert fields["schema_version"].startswith("integer")
        for kind in fields.values():
            assert set(re.split(r" or |, optional", kind)) - {""} <= set(KINDS)
    assert "optional" in PAGE.read_text()


FAULTS: dict[str, Any] = {
    "a field more": {"schema_version": 1, "run": "a", "links": [], "new": 1},
    "a field less": {"schema_version": 1, "run": "a"},
    "a number for text": {"schema_version": 1, "run": 1, "links": []},
    "true for a number": {"schema_version": True, "run": "a", "links": []},
    "null where none may be": {"schema_version": 1, "run": None, "links": []},
    "a field more below": {"schema_version": 1, "run": "a", "links": [{"kind": "a", "says": "b", "c": 1}]},
    "a field less below": {"schema_version": 1, "run": "a", "links": [{"kind": "a"}]},
}


@pytest.mark.parametrize("value", FAULTS.values(), ids=FAULTS)
def test_the_check_notices(value: dict[str, Any]) -> None:
    assert len(list(complaints(value, FIELDS["kd-hpc why"]))) == 1
