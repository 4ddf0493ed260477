"""A frozen network answers as the network it was made from, and never changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from kd_core.networks import build
from kd_core.networks.base import Network
from kd_core.networks.resnet import BasicBlock, ResNet
from kd_core.runtime.device import place
from kd_core.teacher.frozen import FoldedNetwork, PlainNetwork, freeze
from kd_hpc.catalogue import MODELS

CPU = torch.device("cpu")


def trained(name: str) -> Network:
    """A network whose BatchNorm has seen images, and whose scales and shifts are no longer ones and zeros."""
    torch.manual_seed(0)
    network = build(name, 10)
    place(network, CPU)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.2)
    for _ in range(5):
        network.train()(torch.randn(16, 3, 16, 16))
    return network.eval()


def images() -> torch.Tensor:
    return torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("fold", [True, False])
def test_all_outputs_are_the_networks_own_in_double_precision(name: str, fold: bool) -> None:
    network = trained(name)
    exact = copy.deepcopy(network).double()(images().double())
    frozen = freeze(network, torch.float32, fold=fold)
    assert isinstance(frozen, FoldedNetwork if fold and isinstance(network, ResNet) else PlainNetwork)
    assert frozen.widths == network.widths
    for ours, theirs in zip(frozen(images()), exact, strict=True):
        scale = theirs.abs().mean().item()
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-3, atol=1e-3 * scale)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_folded_half_precision_is_as_near_to_the_truth_as_autocast(dtype: torch.dtype) -> None:
    network = trained("ResNet56")
    exact = copy.deepcopy(network).double()(images().double())
    folded, plain = (freeze(network, dtype, fold=fold)(images()) for fold in (True, False))
    for ours, theirs, truth in zip(folded, plain, exact, strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours.double() - truth).abs().mean() < 1.5 * (theirs.double() - truth).abs().mean()


def as_cudnn(maps: Tensor, weight: Tensor, *rest: Any) -> Tensor:
    """What both fused operations of cuDNN are said to compute, one after the other."""
    *plus, bias, stride, padding, dilation, groups = rest
    found = functional.conv2d(maps, weight, bias, stride, padding, dilation, groups)
    return torch.relu(found + plus[1] * plus[0] if plus else found)


@pytest.mark.parametrize("name", ["ResNetBaby", "ResNet20"])
def test_a_network_whose_launches_are_fused_is_the_one_whose_are_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, calls = trained(name), list[int]()
    apart = freeze(network, torch.float32, fold=True)(images())

    def counted(*words: Any) -> Tensor:
        calls.append(len(words))
        return as_cudnn(*words)

    for operation in ("cudnn_convolution_relu", "cudnn_convolution_add_relu"):
        monkeypatch.setattr(torch, operation, counted)
    fused = freeze(network, torch.float32, fold=True)
    calls.clear()
    for ours, theirs in zip(fused(images()), apart, strict=True):
        torch.testing.assert_close(ours, theirs)
    blocks = sum(isinstance(module, BasicBlock) for module in network.modules())
    assert (calls.count(7), calls.count(9)) == (1 + blocks, blocks), "without a sum, and with one"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_on_a_gpu_a_fused_network_is_as_near_to_the_truth_as_one_that_is_not(dtype: torch.dtype) -> None:
    gpu, network = torch.device("cuda"), trained("ResNet56")
    exact = copy.deepcopy(network).double()(images().double())
    frozen = freeze(place(network, gpu), dtype, fold=True)
    assert isinstance(frozen, FoldedNetwork)
    assert frozen._first.is_fused
    fused = frozen(images().to(gpu))
    for block in (block for stage in frozen._stages for block in stage):
        block._first.is_fused = block._second.is_fused = False
    for ours, theirs, truth in zip(fused, frozen(images().to(gpu)), exact, strict=True):
        assert (ours.cpu().double() - truth).abs().mean() < 1.5 * (theirs.cpu().double() - truth).abs().mean()


def test_no_graph_is_built_and_nothing_moves_even_in_train_mode() -> None:
    network = trained("ResNetBaby")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    expected = freeze(network, torch.float32, fold=True)(images())
    for fold in (True, False):
        frozen = freeze(network, torch.float32, fold=fold)
        network.train()
        outputs = frozen(images())
        assert not any(output.requires_grad for output in outputs)
        torch.testing.assert_close(outputs.logits, expected.logits)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_folded_network_keeps_no_tie_to_the_one_it_was_made_from() -> None:
    network = trained("ResNetBaby")
    frozen = freeze(network, torch.float32, fold=True)
    expected = frozen(images()).logits
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert torch.equal(frozen(images()).logits, expected)


def test_weights_that_half_precision_cannot_hold_are_not_folded() -> None:
    network = trained("ResNetBaby")
    network.get_buffer("bn1.running_var").fill_(0.0)  # dead channels: 1 / sqrt(eps), on weights made large
    network.get_parameter("conv1.weight").data.mul_(1e5)
    assert isinstance(freeze(network, torch.float16, fold=True), PlainNetwork)
    assert isinstance(freeze(network, torch.float32, fold=True), FoldedNetwork)


@pytest.mark.parametrize("layer", ["conv1", "layer1.0.conv2", "layer2.0.shortcut.0"])
def test_no_layer_is_folded_where_one_is_not_finite(layer: str) -> None:
    network = trained("ResNetBaby")
    network.get_submodule(layer).get_parameter("weight").data[0] = 1e30
    assert isinstance(freeze(network, torch.float16, fold=True), PlainNetwork)
