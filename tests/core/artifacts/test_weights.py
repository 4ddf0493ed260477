"""A weight file holds what was saved, on the CPU and in the ordinary layout; any other file is refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from kd_core.artifacts.torchfile import to_bytes
from kd_core.artifacts.weights import load_network, read_weights, save_weights
from kd_core.networks import build
from kd_core.runtime.device import place
from kd_hpc import fence
from kd_hpc.disk import sealed
from kd_hpc.errors import CheckpointError
from kd_hpc.fence import Fence
from kd_hpc.records import FileDigest, State, StatusRecord
from kd_hpc.store import BEST, Store
from tests.core.runs import RUN
from tests.core.stages import no_permission

CPU = torch.device("cpu")


@pytest.fixture
def mine(store: Store) -> Iterator[Fence]:
    with fence.opened(store.directory(RUN)) as opened:
        yield opened


def load(content: bytes) -> Any:
    return load_network(content, Path("best.pth"), RUN, 10, CPU, "Train it.")


def test_what_was_saved_comes_back_bit_for_bit_in_the_ordinary_layout(store: Store, mine: Fence) -> None:
    network = place(build("ResNetBaby", 10), CPU)
    assert not network.get_parameter("layer1.0.conv1.weight").is_contiguous()
    path = store.directory(RUN) / BEST
    save_weights(mine, path, network.state_dict(), epoch=3)
    content = torch.load(path, weights_only=True)
    assert content["epoch"] == 3
    assert all(value.is_contiguous() and not value.requires_grad for value in content["weights"].values())
    again = load(read_weights(store, RUN, BEST))
    assert again.state_dict().keys() == network.state_dict().keys()
    for name, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    assert not again.get_parameter("layer1.0.conv1.weight").is_contiguous(), "placed for speed, as it was"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"weights": build("ResNet20", 10).state_dict()}, "Unexpected key"),
        ({"weights": build("ResNetBaby", 7).state_dict()}, "size mismatch"),
        ({"state": {}}, "'weights'"),
        ([], "list indices"),
    ],
)
def test_weights_of_another_network_are_refused_with_what_is_wrong(content: Any, reason: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        load(to_bytes(content))
    assert caught.value.what.startswith("best.pth does not hold the weights of a ResNetBaby: ")
    assert reason in caught.value.what or "Error(s) in loading" in caught.value.what
    assert "\n" not in caught.value.what
    assert caught.value.remedy == "Train it."


def test_a_file_that_is_gone_torn_or_another_is_refused_by_name(
    store: Store, mine: Fence, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = store.directory(RUN) / BEST
    with pytest.raises(CheckpointError, match=r"best\.pth does not exist\. Train it first: kd-core train"):
        read_weights(store, RUN, BEST)
    content = to_bytes({"weights": {}})
    path.write_bytes(content[:-10])
    with pytest.raises(CheckpointError, match=r"best\.pth cannot be used: "):
        read_weights(store, RUN, BEST)
    path.write_bytes(content)
    assert read_weights(store, RUN, BEST) == content
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(CheckpointError, match=r"best\.pth cannot be used: it is damaged: Too many levels"):
        read_weights(store, RUN, BEST)
    monkeypatch.setattr(sealed, "read_regular", no_permission)
    with pytest.raises(CheckpointError, match=r"best\.pth cannot be read: Permission denied"):
        read_weights(store, RUN, BEST)


@pytest.mark.parametrize("state", [State.COMPLETED, State.IN_PROGRESS])
def test_only_a_run_that_has_ended_vouches_for_its_files(state: State, store: Store) -> None:
    path = store.directory(RUN) / BEST
    content, other = to_bytes({"weights": {}}), to_bytes({"weights": {"a": torch.ones(1)}})
    store.write(RUN, StatusRecord(experiment=RUN, state=state, files={BEST: FileDigest.of(content)}))
    path.write_bytes(content)
    assert read_weights(store, RUN, BEST) == content
    path.write_bytes(other)
    if state == State.IN_PROGRESS:
        assert read_weights(store, RUN, BEST) == other
    else:
        with pytest.raises(CheckpointError, match="is not the file that its run left behind"):
            read_weights(store, RUN, BEST)
