"""WRN-40-2: the wide residual network of 40 layers, twice as wide (Zagoruyko & Komodakis 2016, arXiv:1605.07146)."""

from __future__ import annotations

from kd_core.networks.wide import WideResNet


def network(num_classes: int) -> WideResNet:
    return WideResNet(6, 2, num_classes)


NETWORK = network
