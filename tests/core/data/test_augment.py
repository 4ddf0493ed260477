"""Whole-batch augmentation against one image at a time: numpy for the crop, PIL through torchvision for the resize."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import chisquare, ks_2samp
from torchvision import transforms
from torchvision.transforms import functional

from kd_core.data.augment import Crop, NoAugmentation, ResizedCrop, augmentation
from kd_core.data.sources import SOURCES
from kd_hpc.errors import UsageError
from tests.core.published import noise


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(noise(*shape, seed=seed))


@pytest.mark.parametrize(("size", "padding"), [(8, 1), (32, 4), (64, 4)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("flip", [True, False])
def test_crop_pads_slices_and_flips_each_image_byte_for_byte(
    size: int, padding: int, channels: int, flip: bool
) -> None:
    images, crop = batch(300, channels, size, size), Crop(flip)
    choices = crop.draw(300, size, stream())
    assert set(choices[:, :2].flatten().tolist()) == set(range(2 * padding + 1))  # every offset, the extreme ones too
    assert set(choices[:, 2].tolist()) == ({0, 1} if flip else {0})
    result = crop.apply(images, choices).numpy()
    for image, (top, left, is_flipped), mine in zip(images.numpy(), choices.tolist(), result, strict=True):
        window = np.pad(image, ((0, 0), (padding, padding), (padding, padding)))[
            :, top : top + size, left : left + size
        ]
        assert np.array_equal(mine, window[:, :, ::-1] if is_flipped else window)


def test_crop_draws_every_offset_and_side_equally_often() -> None:
    choices = Crop(flip=True).draw(81 * 2 * 200, 32, stream()).numpy()
    cells = np.ravel_multi_index(tuple(choices.T), (9, 9, 2))
    assert chisquare(np.bincount(cells, minlength=162)).pvalue > 1e-3


def test_crop_leaves_batches_channels_last_in_memory() -> None:
    crop = Crop(flip=True)
    result = crop.apply(batch(8, 3, 32, 32), crop.draw(8, 32, stream()))
    assert result.is_contiguous(memory_format=torch.channels_last)


def pixels(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy() if len(image) == 3 else image[0].numpy())


def expect_as_pil(images: torch.Tensor, boxes: torch.Tensor) -> None:
    size, result = images.shape[-1], ResizedCrop().apply(images, boxes)
    for image, box, mine in zip(images, boxes.tolist(), result, strict=True):
        theirs = np.asarray(functional.resized_crop(pixels(image), *box, size=[size, size]))
        assert np.array_equal(mine.permute(1, 2, 0).numpy().reshape(theirs.shape), theirs), box


def spans(size: int) -> list[tuple[int, int]]:
    return [(start, length) for length in range(1, size + 1) for start in range(size - length + 1)]


def test_resized_crop_is_pils_to_the_pixel_for_every_box_of_a_digit() -> None:
    boxes = torch.tensor([(top, left, height, width) for top, height in spans(8) for left, width in spans(8)])
    expect_as_pil(batch(len(boxes), 1, 8, 8), boxes)


def test_resized_crop_is_pils_to_the_pixel_for_every_shape_of_box_at_32() -> None:
    sides = torch.cartesian_prod(torch.arange(1, 33), torch.arange(1, 33))
    corners = (torch.rand(len(sides), 2, generator=stream()) * (33 - sides)).long()
    images = batch(len(sides), 3, 32, 32)
    images[::2] = torch.where(images[::2] > 127, 255, 0).to(torch.uint8)  # the hardest edges there are
    expect_as_pil(images, torch.cat((corners, sides), dim=1))


def test_resized_crop_is_pils_to_the_pixel_for_drawn_boxes_at_64() -> None:
    for seed in range(4):
        expect_as_pil(batch(250, 3, 64, 64, seed=seed), ResizedCrop().draw(250, 64, stream(seed)))


@pytest.mark.parametrize("size", [8, 32, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_test_images_of_resized_crop_are_cropped_as_by_pil(size: int, channels: int) -> None:
    usual = transforms.Compose([transforms.Resize(size + 8), transforms.CenterCrop(size)])
    images = batch(100, channels, size, size)
    for image, mine in zip(images, ResizedCrop().at_test(images), strict=True):
        theirs = np.asarray(usual(pixels(image)))
        assert np.array_equal(mine.permute(1, 2, 0).numpy().reshape(theirs.shape), theirs)


@pytest.mark.parametrize("size", [8, 32, 64])
def test_resized_crop_draws_boxes_as_torchvision_does(size: int) -> None:
    torch.manual_seed(0)
    image, count = torch.zeros(3, size, size), 3000
    theirs = np.array(
        [transforms.RandomResizedCrop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(count)]
    )
    ours = ResizedCrop().draw(20 * count, size, stream()).numpy()
    facts: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "height": lambda box: box[:, 2],
        "width": lambda box: box[:, 3],
        "area": lambda box: box[:, 2] * box[:, 3],
        "ratio": lambda box: np.log(box[:, 3] / box[:, 2]),
        "top": lambda box: box[:, 0] / np.maximum(size - box[:, 2], 1),
        "left": lambda box: box[:, 1] / np.maximum(size - box[:, 3], 1),
        "top and left": lambda box: box[:, 0] - box[:, 1],
    }
    for name, fact in facts.items():
        assert ks_2samp(fact(ours), fact(theirs)).pvalue > 1e-3, name
    assert (ours >= [0, 0, 1, 1]).all()
    assert (ours[:, :2] + ours[:, 2:] <= size).all()


def test_the_test_images_of_a_crop_are_the_images_themselves() -> None:
    images = batch(4, 3, 32, 32)
    for augment in (Crop(flip=True), NoAugmentation()):
        assert torch.equal(augment.at_test(images), images)


def test_mirrored_house_numbers_and_digits_are_other_things() -> None:
    assert {name for name in SOURCES if not SOURCES[name].mirrored} == {"SVHN", "Digits"}
    for mirrored in (True, False):
        how = augmentation("auto", mirrored=mirrored)
        assert isinstance(how, Crop)
        assert how.flip == mirrored
    assert isinstance(augmentation("resized-crop", mirrored=False), ResizedCrop)
    with pytest.raises(UsageError, match="Known: auto, crop-flip, crop, resized-crop, none"):
        augmentation("cutout", mirrored=True)
