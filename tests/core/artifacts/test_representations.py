"""Arrays of representations hold what the network says of each image, layer by layer."""

from __future__ import annotations

import torch

from kd_core.artifacts.representations import extract
from kd_core.data.loaders import Batch
from kd_core.networks import build


def test_each_array_is_of_its_own_layer_averaged_over_space_in_the_images_order() -> None:
    torch.manual_seed(0)
    network, images = build("ResNetBaby", 10).train(), torch.randn(12, 3, 8, 8)
    labels = torch.arange(12) % 10
    batches = [Batch(images[part], labels[part], torch.arange(12)[part]) for part in (slice(0, 8), slice(8, 12))]
    found = extract(network, batches)
    assert network.training
    with torch.no_grad():
        outputs = network.eval()(images)
    expected = {name: getattr(outputs, name).mean((2, 3)) for name in ("layer1", "layer2", "layer3")}
    expected |= {"logits": outputs.logits, "labels": labels, "item_index": torch.arange(12)}
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(torch.as_tensor(found[name]), values)
