"""One file a method, a data set, a network: what a newcomer is told when something is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from kd_core import catalogued, networks
from kd_core.data.sources import SOURCES
from kd_core.methods import METHODS
from kd_core.networks import NETWORKS, build
from kd_hpc import catalogue
from kd_hpc.errors import IdentityError, UsageError
from kd_hpc.experiment import Experiment

FOLDER = Path(networks.__path__[0])


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The catalogue names a network Toy, and networks lie in a folder of ours; the file that Toy may have."""
    monkeypatch.setitem(catalogue.MODELS.own, "Toy", None)
    monkeypatch.setattr(catalogued, "__file__", str(tmp_path / "catalogued.py"))
    monkeypatch.setattr(networks, "__path__", [str(tmp_path / "networks")])
    (tmp_path / "networks").mkdir()
    yield tmp_path / "networks/toy.py"
    sys.modules.pop("kd_core.networks.toy", None)


def test_every_name_has_its_file_and_every_file_its_name() -> None:
    kinds: dict[str, Iterable[str]] = {"methods": METHODS, "data/sources": SOURCES, "networks": NETWORKS}
    shared = {"__init__", "base", "cifar", "resnet", "wide"}
    for folder, known in kinds.items():
        found = {file.stem for file in (FOLDER.parent / folder).glob("*.py")} - shared
        own_blocks = {name for name, blocks in catalogue.MODELS.items() if blocks} if folder == "networks" else set()
        assert found == {name.lower().replace("-", "_") for name in set(known) - own_blocks}, folder


def test_a_name_without_its_file_is_told_which_file(named: Path) -> None:
    with pytest.raises(UsageError, match=r"model Toy is in the catalogue, but .*networks/toy.py is missing. See docs"):
        build("Toy", 10)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", r"toy.py cannot be used: AttributeError: .*'NETWORK'.*It must set NETWORK, see docs/guide"),
        ("import nothing_of_that_name", r"toy.py cannot be used: ModuleNotFoundError: .*nothing_of_that_name"),
        ("NETWORK = (", r"toy.py cannot be used: SyntaxError"),
    ],
)
def test_a_file_that_is_not_ready_is_named_and_breaks_no_other(content: str, told: str, named: Path) -> None:
    named.write_text(content)
    with pytest.raises(UsageError, match=told):
        build("Toy", 10)
    assert build("ResNetBaby", 10)


def test_a_method_that_calls_itself_by_another_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS["rkd"], "name", "relational")
    with pytest.raises(UsageError, match=r"rkd.py holds 'relational', not 'rkd'. Write name = \"rkd\""):
        METHODS["rkd"]


def test_an_unknown_name_is_told_where_its_line_is_missing() -> None:
    with pytest.raises(
        IdentityError, match=r"Known: .*ResNet112.*needs its line in kd_hpc/catalogue.py, or a package: docs/guide"
    ):
        Experiment(dataset="Digits", student="Toy", seed=0).require_known()
    with pytest.raises(KeyError):
        METHODS["toy"]
