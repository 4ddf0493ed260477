"""A tiny package of somebody else's that adds a method, a network and a data set: its source, or as it is installed."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "kd_overlap/__init__.py": "",
    "kd_overlap/facts.py": """
from kd_hpc.catalogue import AddedDataset, AddedMethod, AddedNetwork, DatasetFacts

OVERLAP = AddedMethod(weights={"overlap": 2.0}, code="kd_overlap.code:Overlap")
PLAIN = AddedNetwork(code="kd_overlap.code:PlainNet")
PARITY = AddedDataset(facts=DatasetFacts(2, 1_433, 364, 8), code="kd_overlap.code:PARITY")
""",
    "kd_overlap/code.py": """
from torch import nn

from kd_core.data.sources.base import Source
from kd_core.data.sources.digits import read_digits
from kd_core.methods.base import Method
from kd_core.networks.base import Network, Outputs, Widths


class Overlap(Method):
    name = "overlap"
    definition = "overlap: one minus the share of probability that both give to the same classes"
    source = "a test"

    def terms(self, student, teacher):
        both = [values.float().softmax(1) for values in (student.logits, teacher.logits.detach())]
        return {"overlap": (both[0] - both[1]).abs().sum(1).mean() / 2}


class PlainNet(Network):
    def __init__(self, num_classes):
        super().__init__()
        self.widths = Widths(8, 8, 8, num_classes)
        self.layer1, self.layer2, self.layer3 = stage(3, 1), stage(8, 2), stage(8, 2)
        self.linear = nn.Linear(8, num_classes)

    def forward(self, images):
        layer1 = self.layer1(images)
        layer2 = self.layer2(layer1)
        layer3 = self.layer3(layer2)
        return Outputs(layer1, layer2, layer3, self.linear(layer3.mean((2, 3))))


def stage(channels, stride):
    return nn.Sequential(nn.Conv2d(channels, 8, 3, stride, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())


def read_parity(folder):
    train, test = read_digits(folder)
    return train._replace(labels=train.labels % 2), test._replace(labels=test.labels % 2)


PARITY = Source((), read_parity, mean=(0.305,) * 3, deviation=(0.376,) * 3, mirrored=False)
""",
}
ENTRY_POINTS = {
    "kd.methods": {"overlap": "kd_overlap.facts:OVERLAP"},
    "kd.networks": {"PlainNet": "kd_overlap.facts:PLAIN"},
    "kd.datasets": {"Parity": "kd_overlap.facts:PARITY"},
}


def write_source(folder: Path) -> Path:
    """The package as its author has it, ready to be installed."""
    _write_files(folder)
    points = "".join(
        f'[project.entry-points."{group}"]\n' + "".join(f'{name} = "{value}"\n' for name, value in lines.items())
        for group, lines in ENTRY_POINTS.items()
    )
    project = '[project]\nname = "kd-overlap"\nversion = "1.2"\n'
    build = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    (folder / "pyproject.toml").write_text(project + points + build)
    return folder


def install(folder: Path, **changed: str) -> Path:
    """The package in `folder`, as an installer leaves it; `changed`: entry points of methods instead of its own."""
    _write_files(folder)
    lines = {**ENTRY_POINTS, "kd.methods": changed or ENTRY_POINTS["kd.methods"]}
    dist = folder / "kd_overlap-1.2.dist-info"
    dist.mkdir(exist_ok=True)
    (dist / "METADATA").write_text("Metadata-Version: 2.1\nName: kd-overlap\nVersion: 1.2\n")
    (dist / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in named.items())
            for group, named in lines.items()
        )
    )
    return folder


def _write_files(folder: Path) -> None:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
