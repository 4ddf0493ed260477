"""The teacher of the control arm "random_teacher": its network as it is before any training.

Its weights come from the seed. Its BatchNorm statistics are taken from a few training images, without labels: with
those of a fresh network (mean 0, variance 1) a deep one multiplies its activations block by block, and its targets are
no signal of any size. So that every machine makes the same teacher to the bit, the statistics are computed on the CPU
in float64 and kept to 12 significant bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from kd_core.data.loaders import Batch
from kd_core.networks import build
from kd_core.networks.base import Network
from kd_core.runtime.determinism import seed_of

IMAGES = 64
_BITS = 12


def untrained_network(name: str, num_classes: int, seed: int, batches: Iterable[Batch]) -> Network:
    """The network called `name`, on the CPU in eval mode, its statistics those of the first images of `batches`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("random_teacher", name, seed))
        network = build(name, num_classes)
    settle(network.double(), _first_images(batches).double())
    for norm in _norms(network):
        for statistic in (norm.running_mean, norm.running_var):
            assert statistic is not None, "every norm here keeps statistics"
            statistic.copy_(_rounded(statistic))
    return network.float().eval()


def settle(network: Network, images: Tensor) -> None:
    """Take the network's BatchNorm statistics from `images` (N, 3, H, W)."""
    momenta = [(norm, norm.momentum) for norm in _norms(network)]
    was_training = network.training
    for norm, _ in momenta:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(images)
    for norm, momentum in momenta:
        norm.momentum = momentum
    network.train(was_training)


def sha256_of(network: Network) -> str:
    """One hash over all weights and statistics, by name."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(f"{name}\0".encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _norms(network: Network) -> list[nn.BatchNorm2d]:
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


def _first_images(batches: Iterable[Batch]) -> Tensor:
    found = list[Tensor]()
    for batch in batches:
        found.append(batch.images.cpu())
        if sum(map(len, found)) >= IMAGES:
            break
    return torch.cat(found)[:IMAGES]


def _rounded(values: Tensor) -> Tensor:
    mantissa, exponent = torch.frexp(values)
    return torch.ldexp(torch.round(mantissa * 2**_BITS), exponent - _BITS)
