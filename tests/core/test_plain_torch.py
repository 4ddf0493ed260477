"""The few lines of plain torch in docs/guide/your-own-tools.md are the network that was trained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from kd_core.artifacts.weights import save_weights
from kd_core.networks import build
from kd_hpc import fence
from tests.paths import ROOT
from tests.test_docs import blocks_of

PAGE = (ROOT / "docs/guide/your-own-tools.md").read_text()
RUN = "experiments/Digits/pure/ResNet20/0"


def trained_like(name: str) -> torch.nn.Module:
    """A network whose every parameter and statistic is of the size that training gives it, and nowhere trivial."""
    torch.manual_seed(7)
    network = build(name, 10)
    for value in network.state_dict().values():
        if value.dim() == 1:
            value.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("name", ["ResNet20", "ResNetBaby"])
def test_it_computes_what_the_network_computes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = (block for _, kind, block in blocks_of(PAGE) if kind == "python")
    assert code.count("\n") <= 15
    network = trained_like(name)
    (tmp_path / RUN).mkdir(parents=True)
    with fence.opened(tmp_path / RUN) as mine:
        save_weights(mine, mine.directory / "best.pth", network.state_dict())
    monkeypatch.chdir(tmp_path)
    plain: dict[str, Any] = {}
    exec(code, plain)
    images = torch.rand(3, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(plain["network"](images), network(images).logits)


def test_every_weight_is_in_the_table() -> None:
    cells = re.findall(r"^\| (`(?:conv1|bn1|layerS|linear)[^|]*) \|", PAGE, flags=re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    known = [re.escape(name).replace("S", "[123]").replace("B", r"\d+").replace(r"\*", r"\w+") for name in names]
    state = trained_like("ResNet20").state_dict()
    assert [name for name in state if not any(re.fullmatch(pattern, name) for pattern in known)] == []
    assert len(names) == 10
