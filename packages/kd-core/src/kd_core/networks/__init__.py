"""The networks by name: residual ones by their blocks in the catalogue, those of other kinds one file each."""

from __future__ import annotations

from collections.abc import Callable

from kd_core.catalogued import Catalogued
from kd_core.networks.base import Network
from kd_core.networks.resnet import ResNet
from kd_hpc.catalogue import MODELS
from kd_hpc.errors import UsageError
from kd_hpc.installed import PAGE

NETWORKS: Catalogued[Callable[[int], Network]] = Catalogued(
    "model", MODELS, "networks", "NETWORK", "function of the number of classes", callable
)
"""Networks of other kinds than ResNet: from the number of classes to the network."""


def build(name: str, num_classes: int) -> Network:
    """The network called `name`, its weights drawn from torch's global generator: seed that first.

    Raises UsageError for a name outside `kd_hpc.catalogue.MODELS`, a file or package of it that is missing or unusable,
    or less than one class.
    """
    if name not in MODELS:
        raise UsageError(f"There is no model {name!r}.", remedy=f"Choose one of {', '.join(MODELS)}.")
    if num_classes < 1:
        raise UsageError(f"{name} cannot tell {num_classes} classes apart.", remedy="Give at least 1 class.")
    blocks = MODELS[name]
    network = ResNet(blocks, num_classes) if blocks else NETWORKS[name](num_classes)
    if not isinstance(network, Network) or network.widths.logits != num_classes:
        raise UsageError(
            f"{name} makes no kd_core.networks.base.Network of {num_classes} classes.", remedy=f"Mend it, see {PAGE}."
        )
    return network
