"""The networks: old weights load, sizes are the published ones, taps are where the methods expect them."""

from __future__ import annotations

import io
import math

import pytest
import torch
from torch import nn

from kd_core.networks import build
from kd_core.networks.base import Network, Outputs, Widths
from kd_core.networks.resnet import ResNet
from kd_hpc.catalogue import MODELS
from kd_hpc.errors import UsageError

RESIDUAL = {name: blocks for name, blocks in MODELS.items() if blocks}


@pytest.fixture
def network() -> ResNet:
    torch.manual_seed(0)
    return residual("ResNetBaby", 10)


def residual(name: str, num_classes: int) -> ResNet:
    network = build(name, num_classes)
    assert isinstance(network, ResNet)
    return network


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ResNet112", 1_730_714),
        ("ResNet56", 855_770),
        ("ResNet32", 466_906),
        ("ResNet20", 272_474),
        ("ResNet8x4", 1_210_410),
        ("ResNet32x4", 7_410_730),
        ("WRN-16-2", 691_674),
        ("WRN-40-2", 2_243_546),
    ],
)
def test_parameter_count_at_ten_classes(name: str, parameters: int) -> None:
    assert sum(weight.numel() for weight in build(name, 10).parameters()) == parameters


@pytest.mark.parametrize(("name", "blocks"), RESIDUAL.items())
def test_every_name_of_the_catalogue_builds_with_its_blocks(name: str, blocks: tuple[int, int, int]) -> None:
    network = residual(name, 7)
    assert tuple(map(len, (network.layer1, network.layer2, network.layer3))) == blocks
    assert network.widths == Widths(16, 32, 64, 7)


def _batch_norm(prefix: str) -> set[str]:
    return {f"{prefix}.{x}" for x in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}


def _old_keys(blocks: tuple[int, int, int]) -> set[str]:
    keys = {"conv1.weight", "linear.weight", "linear.bias"} | _batch_norm("bn1")
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            prefix = f"layer{stage}.{block}"
            keys |= {f"{prefix}.conv1.weight", f"{prefix}.conv2.weight"}
            keys |= _batch_norm(f"{prefix}.bn1") | _batch_norm(f"{prefix}.bn2")
        if stage > 1:
            keys |= {f"layer{stage}.0.shortcut.0.weight"} | _batch_norm(f"layer{stage}.0.shortcut.1")
    return keys


@pytest.mark.parametrize(("name", "blocks"), RESIDUAL.items())
def test_state_dict_has_the_keys_of_the_old_weights(name: str, blocks: tuple[int, int, int]) -> None:
    assert set(build(name, 10).state_dict()) == _old_keys(blocks)


@pytest.mark.parametrize("name", MODELS)
def test_every_network_gives_what_its_widths_promise(name: str) -> None:
    network = build(name, 7)
    assert isinstance(network, Network)
    outputs = network(torch.randn(2, 3, 16, 16))
    assert outputs.widths == network.widths
    assert [maps.shape[2:] for maps in outputs.features] == [(16, 16), (8, 8), (4, 4)]


def test_weights_survive_the_file_format_of_best_pth(network: ResNet) -> None:
    file = io.BytesIO()
    torch.save({"weights": network.state_dict()}, file)
    file.seek(0)
    other = build("ResNetBaby", 10)
    other.load_state_dict(torch.load(file, weights_only=True)["weights"])
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(other.eval()(images).logits, network.eval()(images).logits)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 32), (64, 64), (32, 16)])
def test_outputs_have_their_shapes_at_any_size(network: ResNet, height: int, width: int) -> None:
    outputs = network(torch.randn(2, 3, height, width))
    assert isinstance(outputs, Outputs)
    assert [tuple(tap.shape) for tap in outputs.features] == [
        (2, 16, height, width),
        (2, 32, height // 2, width // 2),
        (2, 64, height // 4, width // 4),
    ]
    assert outputs.logits.shape == (2, 10)
    assert outputs.widths == network.widths


def test_features_are_the_three_maps_in_order(network: ResNet) -> None:
    outputs = network(torch.randn(2, 3, 8, 8))
    assert all(a is b for a, b in zip(outputs.features, (outputs.layer1, outputs.layer2, outputs.layer3), strict=True))


def test_taps_come_after_relu_and_nothing_later_writes_into_them(network: ResNet) -> None:
    network.eval()
    images = torch.randn(2, 3, 32, 32)
    outputs = network(images)
    stem = torch.relu(network.bn1(network.conv1(images)))
    layer1 = network.layer1(stem)
    layer2 = network.layer2(layer1.clone())
    layer3 = network.layer3(layer2.clone())
    for tap, expected in zip(outputs.features, (layer1, layer2, layer3), strict=True):
        assert torch.equal(tap, expected)
        assert tap.min() == 0
        assert tap.max() > 0


def test_logits_read_the_mean_over_space_of_layer3(network: ResNet) -> None:
    outputs = network(torch.randn(2, 3, 32, 32))
    assert torch.allclose(outputs.logits, network.linear(outputs.layer3.mean((2, 3))), rtol=1e-5, atol=1e-6)


def test_only_blocks_that_change_shape_have_a_shortcut_convolution() -> None:
    network = build("ResNet20", 10)
    convolved = [name for name, module in network.named_modules() if name.endswith("shortcut.0")]
    assert convolved == ["layer2.0.shortcut.0", "layer3.0.shortcut.0"]


def test_the_seed_decides_the_start() -> None:
    def start(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([weight.flatten() for weight in build("ResNetBaby", 10).parameters()])

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))


def test_convolutions_start_with_kaiming_variance_over_fan_out() -> None:
    torch.manual_seed(0)
    for module in build("ResNet20", 10).modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 5000:
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_out), rel=0.05)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="ResNet110") as refused:
        build("ResNet110", 10)
    assert all(name in refused.value.remedy for name in MODELS)


def test_no_classes_is_refused() -> None:
    with pytest.raises(UsageError, match="0 classes"):
        build("ResNetBaby", 0)
