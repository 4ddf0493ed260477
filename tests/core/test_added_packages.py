"""An installed package adds a method, a network and a data set: found by name, used like ours, blamed by name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kd_core.methods import METHODS
from kd_core.networks import build
from kd_hpc import catalogue
from kd_hpc.errors import UsageError
from kd_hpc.experiment import Experiment
from kd_hpc.installed import entry_points
from tests.added_package import install
from tests.core.processes import run
from tests.paths import BIN

CAMPAIGN = """
name = "added"
datasets = ["Parity"]
teacher = "ResNetBaby"
student = "PlainNet"
methods = ["overlap"]
alphas = [0.5]
seeds = [0]

[recipe]
epochs = 1

[recipe.weights]
"overlap.overlap" = 3.0
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for packages, on the path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    entry_points.cache_clear()
    yield folder
    entry_points.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "kd_overlap"]:
        del sys.modules[name]


def test_its_facts_are_known_without_torch(installed: Path) -> None:
    install(installed)
    code = (
        "import sys; from kd_hpc import catalogue; from kd_hpc.experiment import Experiment; "
        "Experiment(dataset='Parity', method='overlap', alpha=0.5, teacher='ResNet20', student='PlainNet', seed=0)"
        ".require_known(); print(catalogue.LOSS_TERMS['overlap'], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "{'overlap': 2.0} False\n"


def test_no_package_is_looked_for_where_the_catalogue_knows_all_names() -> None:
    code = (
        "from kd_hpc.experiment import Experiment; "
        "Experiment(dataset='Digits', method='rkd', alpha=0.5, teacher='ResNet20', student='ResNet56', seed=0)"
        ".require_known(); from kd_hpc.installed import entry_points; print(entry_points.cache_info().misses)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "0\n"


def test_its_names_stand_behind_ours(installed: Path) -> None:
    assert "overlap" not in METHODS
    entry_points.cache_clear()
    install(installed)
    assert list(METHODS)[-1] == "overlap"
    assert len(METHODS) == len(catalogue.LOSS_TERMS.own) + 1
    assert list(catalogue.MODELS)[-1] == "PlainNet"
    assert catalogue.MODELS.package("PlainNet") == "kd-overlap 1.2"
    assert catalogue.MODELS.package("ResNet20") == catalogue.MODELS.package("Toy") == ""
    assert METHODS["overlap"].weights == {"overlap": 2.0}
    assert build("PlainNet", 3).widths.logits == 3


def test_the_catalogues_own_lines_come_first(installed: Path) -> None:
    install(installed, rkd="kd_overlap.facts:OVERLAP")
    assert METHODS["rkd"].__module__ == "kd_core.methods.rkd"
    assert list(catalogue.METHODS).count("rkd") == 1


BROKEN = {
    "no such module": ("kd_nowhere:X", r"of kd-overlap 1\.2 cannot be read: ModuleNotFoundError"),
    "no such name": ("kd_overlap.facts:X", r"of kd-overlap 1\.2 cannot be read: AttributeError"),
    "another kind": ("kd_overlap.facts:PLAIN", r"of kd-overlap 1\.2 is no AddedMethod"),
}


@pytest.mark.parametrize(("value", "told"), BROKEN.values(), ids=BROKEN)
def test_a_broken_package_is_named_and_breaks_no_other(value: str, told: str, installed: Path) -> None:
    install(installed, overlap=value)
    with pytest.raises(UsageError, match=told) as refused:
        METHODS["overlap"]
    assert "docs/guide/a-campaign-of-your-own.md" in refused.value.remedy
    assert METHODS["rkd"]
    assert list(METHODS)[-1] == "overlap"


CODE = {
    "no code": (
        "kd_overlap.code:Nothing",
        r"kd_overlap\.code:Nothing of kd-overlap 1\.2 cannot be used: AttributeError",
    ),
    "no method": ("kd_overlap.code:PlainNet", r"PlainNet is no subclass of kd_core\.methods\.base\.Method"),
}


@pytest.mark.parametrize(("code", "told"), CODE.values(), ids=CODE)
def test_code_that_is_no_method_is_refused(code: str, told: str, installed: Path) -> None:
    install(installed)
    (installed / "kd_overlap/facts.py").write_text(
        f"from kd_hpc.catalogue import AddedMethod\nOVERLAP = AddedMethod({{'overlap': 1.0}}, '{code}')\n"
    )
    with pytest.raises(UsageError, match=told):
        METHODS["overlap"]


def test_a_network_without_taps_is_refused(installed: Path) -> None:
    install(installed)
    (installed / "kd_overlap/code.py").write_text("def PlainNet(classes): return classes\n")
    with pytest.raises(UsageError, match=r"PlainNet makes no kd_core\.networks\.base\.Network of 10 classes"):
        build("PlainNet", 10)


def test_two_packages_with_one_name_are_both_named(installed: Path) -> None:
    install(installed)
    dist = installed / "kd_other-0.1.dist-info"
    dist.mkdir()
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: kd-other\nVersion: 0.1\n")
    (dist / "entry_points.txt").write_text("[kd.methods]\noverlap = kd_other:OVERLAP\n")
    with pytest.raises(UsageError, match=r"overlap is added by kd-other 0\.1 and kd-overlap 1\.2"):
        METHODS["overlap"]


def test_runs_of_it_are_planned_trained_and_say_where_it_came_from(installed: Path, tmp_path: Path) -> None:
    install(installed)
    (tmp_path / "added.toml").write_text(CAMPAIGN)
    queue = [str(BIN / "kd-hpc"), "queue", "added.toml", "--dry-run"]
    planned = subprocess.run(queue, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "Parity/overlap/alpha_0.5/ResNetBaby_to_PlainNet/0" in planned.stdout, planned.stdout + planned.stderr
    log, path = tmp_path / "log", f"sys.path.insert(0, {str(installed)!r})"
    places = ["--data", str(tmp_path / "data"), "--experiments", str(tmp_path / "runs")]
    words = ["--dataset", "Parity", "--seed", "0", "--epochs", "1", "--device", "cpu", *places]
    assert run(["data", "prepare", "Parity", *places[:2]], log, prelude=path)[0] == 0
    assert run(["train", "--model", "ResNetBaby", *words], log, prelude=path)[0] == 0
    pair = ["--method", "overlap", "--alpha", "0.5", "--teacher", "ResNetBaby", "--student", "PlainNet"]
    code, said = run(["train", *pair, "--weight", "overlap.overlap=3", *words], log, prelude=path)
    assert code == 0, said
    run_of = Experiment(dataset="Parity", method="overlap", alpha=0.5, teacher="ResNetBaby", student="PlainNet", seed=0)
    record = json.loads((tmp_path / "runs" / run_of.path / "status.json").read_text())
    assert record["provenance"]["packages"] == dict.fromkeys(("Parity", "overlap", "PlainNet"), "kd-overlap 1.2")
