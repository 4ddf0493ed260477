"""Data sets of one's own: every image counted or refused by name, upright and square, measured, hashed, trained on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps
from pydantic import ValidationError

from kd_core.commands.data import prepare as prepare_command
from kd_core.data.decode import MOST_PIXELS, _coloured, decode_all, decode_files
from kd_core.data.folders import find_tree
from kd_core.data.images import Bytes, Dataset, load_dataset
from kd_core.data.own import Prepared, prepare_own, prepare_part
from kd_core.data.prepare import _read
from kd_core.data.sources import SOURCES
from kd_hpc.campaign import OwnData
from kd_hpc.catalogue import DatasetFacts
from kd_hpc.disk.sealed import object_bytes
from kd_hpc.errors import DataError, UsageError
from tests.core import published
from tests.core.photos import BLUE, GREY, RED, Pixels, halves, photo, turned, two_classes
from tests.core.processes import run

WHITE = (255, 255, 255)


def prepare(folder: Path, root: Path, **described: object) -> tuple[Prepared, Dataset]:
    own = OwnData.model_validate({"folder": str(folder), "size": 16, **described})
    return prepare_own("Mine", own, root, lambda done, of: None), load_dataset(root, "Mine")


def decoded(path: Path, size: int = 16) -> Pixels:
    """(size, size, 3) of one file."""
    images, problems = decode_files([path], size, lambda done, of: None)
    assert not problems
    pixels: Pixels = images[0].transpose(1, 2, 0)
    return pixels


# One file


KINDS = {
    "png": ("a.png", "RGB", 0),
    "jpeg": ("a.jpg", "RGB", 40),
    "capital suffix": ("a.JPEG", "RGB", 40),
    "palette": ("a.png", "P", 12),
    "cmyk jpeg": ("a.jpg", "CMYK", 40),
    "gif": ("a.gif", "P", 12),
    "bmp": ("a.bmp", "RGB", 0),
    "webp": ("a.webp", "RGB", 40),
    "opaque alpha": ("a.png", "RGBA", 0),
}


@pytest.mark.parametrize(("name", "mode", "loss"), KINDS.values(), ids=KINDS)
def test_every_kind_of_file_gives_its_colours(name: str, mode: str, loss: int, tmp_path: Path) -> None:
    found = decoded(photo(tmp_path / name, halves(RED, BLUE), mode))
    for column, colour in ((3, RED), (12, BLUE)):  # away from the edge, where JPEG mixes them
        assert np.abs(found[4:12, column].astype(int) - colour).max() <= loss


@pytest.mark.parametrize(("name", "mode"), [("a.png", "L"), ("a.jpg", "L"), ("a.png", "LA"), ("a.png", "1")])
def test_grey_files_have_three_equal_channels(name: str, mode: str, tmp_path: Path) -> None:
    found = decoded(photo(tmp_path / name, halves(WHITE, (0, 0, 0)), mode)).astype(int)
    assert (found == found[:, :, :1]).all()
    assert found[:, :6].min() > 200 > 50 > found[:, 10:].max()


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16L", "I;16B", "I;16N"])
def test_the_upper_eight_of_sixteen_bits_are_kept_in_every_order_of_bytes(mode: str) -> None:
    grey = Image.new(mode, (2, 2), 0x7FFF)
    assert np.asarray(_coloured(grey)).tolist() == np.full((2, 2, 3), 0x7F).tolist()


def test_sixteen_bits_are_scaled_and_not_cut(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert np.array_equal(decoded(tmp_path / "a.png")[:, :, 0], values >> 8)


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    pixels = np.dstack([halves(RED, BLUE), np.repeat([[255] * 8 + [0] * 8], 16, axis=0).astype(np.uint8)])
    Image.fromarray(pixels).save(tmp_path / "alpha.png")
    palette = Image.fromarray(halves(RED, BLUE)).quantize(2)
    palette.save(tmp_path / "palette.png", transparency=palette.getpixel((12, 4)))
    for name in ("alpha.png", "palette.png"):
        found = decoded(tmp_path / name)
        assert np.array_equal(found[:, 12], np.full((16, 3), 255))
        assert np.abs(found[4:12, 3].astype(int) - RED).max() <= 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_that_says_how_it_was_held_is_upright(orientation: int, tmp_path: Path) -> None:
    pixels = halves(RED, BLUE)
    pixels[:4, :4] = GREY  # no turn of this picture is the picture
    assert np.array_equal(decoded(turned(tmp_path / "a.png", pixels, orientation)), pixels)


def test_a_damaged_tag_does_not_lose_the_photo(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.jpg", halves(RED, BLUE), exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff")
    assert np.abs(decoded(path)[4:12, 3].astype(int) - RED).max() <= 40


def test_a_tag_that_cannot_be_followed_leaves_the_photo_as_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(image: Image.Image) -> None:
        raise ValueError

    monkeypatch.setattr(ImageOps, "exif_transpose", fail)
    pixels = published.noise(16, 16, 3, seed=1)
    assert np.array_equal(decoded(photo(tmp_path / "a.png", pixels)), pixels)


def test_an_image_of_the_right_size_keeps_every_bit(tmp_path: Path) -> None:
    pixels = published.noise(16, 16, 3, seed=1)
    assert np.array_equal(decoded(photo(tmp_path / "a.png", pixels)), pixels)


@pytest.mark.parametrize("upright", [True, False])
def test_of_an_oblong_image_the_middle_is_taken(upright: bool, tmp_path: Path) -> None:
    pixels = np.zeros((90, 30, 3), np.uint8)
    pixels[30:60] = RED
    found = decoded(photo(tmp_path / "a.png", pixels if upright else pixels.transpose(1, 0, 2)), size=8)
    assert (found[2:6, 2:6] == RED).all()
    assert (found[:, :, 0] > 150).all()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 500), (17, 13), (16, 17)])
def test_any_size_becomes_the_size_asked_for(width: int, height: int, tmp_path: Path) -> None:
    assert (decoded(photo(tmp_path / "a.png", np.full((height, width, 3), RED, np.uint8))) == RED).all()


def test_a_large_jpeg_is_decoded_small_and_looks_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = Image.fromarray(published.noise(8, 6, 3, seed=2))
    coarse.resize((400, 300), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg", quality=90)
    with Image.open(tmp_path / "a.jpg") as image:
        expected = np.asarray(ImageOps.fit(image, (16, 16), Image.Resampling.BICUBIC)).astype(int)
    fit, seen = ImageOps.fit, list[tuple[int, int]]()

    def watched(image: Image.Image, size: tuple[int, int], method: Image.Resampling) -> Image.Image:
        seen.append(image.size)
        return fit(image, size, method)

    monkeypatch.setattr(ImageOps, "fit", watched)
    difference = np.abs(decoded(tmp_path / "a.jpg") - expected)
    assert seen == [(100, 75)]
    assert difference.mean() < 2
    assert difference.max() <= 12


def test_sixty_megapixels_are_counted_and_more_than_a_hundred_refused_by_name(tmp_path: Path) -> None:
    for name, size in (("large", (10_000, 6_000)), ("vast", (20_000, MOST_PIXELS // 20_000 + 1))):
        Image.new("1", size, 1).save(tmp_path / f"{name}.png")
    paths = [tmp_path / "large.png", tmp_path / "vast.png"]
    images, problems = decode_files(paths, 16, lambda done, of: None)
    assert (images[0] == 255).all()
    assert list(problems) == [1]
    assert "20000 x 5001 pixels are more than 100 million" in problems[1]


# A folder


def test_classes_are_folders_in_the_order_of_their_names_and_all_below_belongs_to_them(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "photos")
    photo(folder / "train/warm/on holiday/2024/Strände.png", halves(RED, GREY))
    photo(folder / "train/.cache/x.png", halves(RED, GREY))
    (folder / "train/warm/.DS_Store").write_bytes(b"x")
    (folder / "train/warm/notes.txt").write_text("not an image")
    found, data = prepare(folder, tmp_path / "data")
    assert data.own
    assert data.own.class_names == ("cold", "warm")
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert data.test.labels.tolist() == [0, 0, 1, 1]
    for label, colour in ((0, BLUE), (1, RED)):
        assert (data.train.images[data.train.labels == label][:, :, 4, 3] == colour).all()
    assert data.facts == DatasetFacts(2, 7, 4, 16)
    assert found.remarks == ("1 files are no images by their names and were left out (.txt).",)


def test_val_is_as_good_a_name_as_test(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "photos")
    (folder / "test").rename(folder / "val")
    assert prepare(folder, tmp_path / "data")[1].facts.test_items == 4


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "photos")
    (folder / "train/cold").rename(tmp_path / "elsewhere")
    (folder / "train/cold").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/again").symlink_to(tmp_path / "elsewhere")
    assert prepare(folder, tmp_path / "data")[1].facts.train_items == 6


def test_one_tree_is_divided_class_by_class_and_an_image_keeps_its_side(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for place in range(20):
        photo(folder / "cold" / f"{place}.png", halves(BLUE, (0, place, 0)))
        photo(folder / "warm" / f"{place}.png", halves(RED, (0, place, 0)))
    photo(folder / "rare/0.png", halves(GREY, RED))
    photo(folder / "rare/1.png", halves(GREY, BLUE))
    _, data = prepare(folder, tmp_path / "data", test_fraction=0.2)
    assert np.bincount(data.test.labels).tolist() == [4, 1, 4]
    assert np.bincount(data.train.labels).tolist() == [16, 1, 16]
    ours = sorted(image.tobytes() for image in (*data.train.images, *data.test.images))
    assert len(set(ours)) == 42
    for place in range(20, 25):
        photo(folder / "cold" / f"{place}.png", halves(BLUE, (0, place, 0)))
    _, larger = prepare(folder, tmp_path / "more", test_fraction=0.2)
    before, after = ({image.tobytes() for image in found.test.images} for found in (data, larger))
    assert len(before & after) >= 8
    assert np.bincount(larger.test.labels).tolist() == [5, 1, 4]


def test_which_images_are_for_testing_hangs_on_their_names_alone(tmp_path: Path) -> None:
    names = [f"{place}.png" for place in range(12)]
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for name in names:
            (tmp_path / label / name).touch()
    tree = find_tree(tmp_path, 0.25)
    for label in ("a", "b"):
        ranked = sorted(names, key=lambda name: hashlib.sha256(f"{label}/{name}".encode()).hexdigest())
        assert {path.name for path in tree.test[label]} == set(ranked[:3])
        assert {path.name for path in tree.train[label]} == set(ranked[3:])


def test_mean_and_deviation_are_those_of_the_training_images(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "photos")
    for place in range(4):
        photo(folder / "train/cold" / f"noise{place}.png", published.noise(16, 16, 3, seed=place))
    data = prepare(folder, tmp_path / "data")[1]
    assert data.own
    pixels = data.train.images.astype(np.float64) / 255
    np.testing.assert_allclose(data.own.mean, pixels.mean((0, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(data.own.deviation, pixels.std((0, 2, 3)), atol=1e-6)


def test_grey_images_are_kept_as_one_channel(tmp_path: Path) -> None:
    for side, shift in (("train", 0), ("test", 7)):
        for label, value in (("dark", 40), ("light", 200)):
            photo(tmp_path / "photos" / side / label / "a.jpg", np.full((16, 16, 3), value + shift, np.uint8), "L")
    data = prepare(tmp_path / "photos", tmp_path / "data")[1]
    assert data.own
    assert data.train.images.shape == (2, 1, 16, 16)
    assert data.own.mean[0] == data.own.mean[1] == data.own.mean[2] == pytest.approx(120 / 255, abs=1e-6)


def test_what_is_known_of_a_data_set_cannot_be_changed(tmp_path: Path) -> None:
    found, data = prepare(two_classes(tmp_path / "photos"), tmp_path / "data")
    for known, field in ((found.manifest, "name"), (data.own, "mirrored")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(known, field, "other")


def test_the_hash_is_of_everything_that_training_sees(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "photos")
    first, again, mirror = (
        prepare(folder, tmp_path / str(place), mirrored=mirrored)[1].sha256
        for place, mirrored in enumerate((True, True, False))
    )
    assert first == again != mirror
    photo(folder / "test/cold/1.png", halves(BLUE, GREY))
    assert prepare(folder, tmp_path / "other")[1].sha256 not in (first, mirror)


def test_test_images_that_are_trained_on_are_told(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "photos")
    shutil.copy(folder / "train/cold/0.png", folder / "test/cold/9.png")
    remarks = prepare(folder, tmp_path / "data")[0].remarks
    assert remarks == ("1 of 5 test images are training images, pixel by pixel.",)


# What is refused


def _broken(folder: Path) -> None:
    (folder / "train/warm/0.png").write_bytes((folder / "train/warm/0.png").read_bytes()[:60])
    (folder / "train/cold/1.png").write_text("<html>not found</html>")
    (folder / "test/cold/1.png").write_bytes(b"")


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "photos")
    _broken(folder)
    with pytest.raises(DataError, match=r"3 of 10 files in .* cannot be read as images") as refused:
        prepare(folder, tmp_path / "data")
    for name in ("train/warm/0.png", "train/cold/1.png", "test/cold/1.png"):
        assert name in refused.value.what
    assert "skip_unreadable = true" in refused.value.remedy
    assert not (tmp_path / "data").exists()


def test_files_that_cannot_be_read_are_skipped_and_named_when_asked(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "photos")
    _broken(folder)
    found, data = prepare(folder, tmp_path / "data", skip_unreadable=True)
    assert found.manifest.left_out == ("train/cold/1.png", "train/warm/0.png", "test/cold/1.png")
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert data.test.labels.tolist() == [0, 1, 1]
    assert (data.train.images[data.train.labels == 1][:, :, 4, 3] == RED).all()
    assert "3 files cannot be read and were left out" in found.remarks[0]


def test_a_problem_says_what_kind_of_error_it_was(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("<html>not found</html>")
    _, problems = decode_files([tmp_path / "a.png"], 16, lambda done, of: None)
    assert problems[0].startswith("UnidentifiedImageError: ")


def test_a_class_of_which_nothing_can_be_read_is_no_class(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "photos", test=1)
    (folder / "test/warm/0.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match="no test image of warm can be read"):
        prepare(folder, tmp_path / "data", skip_unreadable=True)


Change = Callable[[Path], None]


def _without(*parts: str) -> Change:
    def change(folder: Path) -> None:
        for part in parts:
            shutil.rmtree(folder / part)

    return change


REFUSED: dict[str, tuple[Change, dict[str, object], str]] = {
    "no folder": (_without(""), {}, "is no folder"),
    "neither split nor fraction": (_without("test"), {}, "no train/ and test/"),
    "both split and fraction": (lambda folder: None, {"test_fraction": 0.2}, "has train/ and test/, so test_fraction"),
    "class only in train": (_without("test/warm"), {}, "no test images of warm"),
    "class only in test": (_without("train/warm"), {}, "no train images of warm"),
    "empty class": (lambda folder: (folder / "train/none").mkdir(), {}, "no train images of none"),
    "one class": (_without("train/warm", "test/warm"), {}, "fewer than two classes"),
    "a name that is no UTF-8": (
        lambda folder: (folder / "train" / b"\xff\xfe".decode("utf-8", "surrogateescape")).mkdir(),
        {},
        r"no UTF-8: .*\\xff\\xfe",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_is_no_data_set_is_refused_and_nothing_written(name: str, tmp_path: Path) -> None:
    change, described, words = REFUSED[name]
    change(two_classes(tmp_path / "photos"))
    with pytest.raises(DataError, match=words) as refused:
        prepare(tmp_path / "photos", tmp_path / "data", **described)
    assert refused.value.remedy
    assert str(tmp_path / "photos") in refused.value.what
    assert not (tmp_path / "data").exists()


def test_of_what_a_broken_image_does_the_first_line_is_told() -> None:
    def broken(item: str) -> Bytes:
        raise ValueError(f"{item} is broken\nat byte 7")

    found = decode_all(["one", "two"], 8, broken, lambda done, count: None)
    assert found.problems == {0: "ValueError: one is broken", 1: "ValueError: two is broken"}


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, scandir = two_classes(tmp_path / "photos"), os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "warm":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match="photos/train/warm cannot be read: Permission denied"):
        find_tree(folder, None)


def test_a_class_of_one_image_cannot_be_divided(tmp_path: Path) -> None:
    photo(tmp_path / "photos/a/0.png", halves(RED, BLUE))
    photo(tmp_path / "photos/b/0.png", halves(RED, GREY))
    with pytest.raises(DataError, match="no test images of a, b"):
        prepare(tmp_path / "photos", tmp_path / "data", test_fraction=0.5)


# A part of a published archive


def test_a_part_of_tiny_imagenet_is_what_its_archive_holds(tmp_path: Path) -> None:
    published.write_tiny_imagenet(tmp_path)
    archive = (tmp_path / "tiny-imagenet-200.zip").rename(tmp_path / "tiny-imagenet-3.zip")
    for place in (archive, tmp_path):
        found = prepare_part("TinyImageNet", place, tmp_path / "data")
        assert found.manifest.name == "TinyImageNet-3"
    data = load_dataset(tmp_path / "data", "TinyImageNet-3")
    assert data.own
    assert data.own.class_names == tuple(sorted(published.WNIDS))
    assert data.facts == DatasetFacts(3, 6, 12, 64)
    wnids = [published.wnid_of(number) for number in sorted(range(12), key=lambda n: f"val_{n}.JPEG")]
    assert [data.own.class_names[label] for label in data.test.labels] == wnids


def test_a_part_may_have_a_name_of_its_own(tmp_path: Path) -> None:
    published.write_tiny_imagenet(tmp_path)
    own = OwnData(folder=str(tmp_path), subset_of="TinyImageNet")
    assert prepare_own("Mine", own, tmp_path / "data").manifest.name == "Mine"
    facts = load_dataset(tmp_path / "data", "Mine").own
    assert facts
    assert facts.mirrored == own.mirrored


def test_an_image_of_a_part_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    published.write_tiny_imagenet(tmp_path)
    with zipfile.ZipFile(tmp_path / "tiny-imagenet-200.zip", "a") as archive:
        archive.writestr("tiny-imagenet-200/train/n01443537/images/n01443537_9.JPEG", b"<html>")
    readers: tuple[Callable[[], object], ...] = (
        lambda: prepare_part("TinyImageNet", tmp_path, tmp_path / "data"),
        lambda: _read("TinyImageNet", SOURCES["TinyImageNet"], tmp_path),
    )
    for read in readers:
        with pytest.raises(DataError, match=r"^tiny.*_9\.JPEG in .*\.zip cannot be read: UnidentifiedImageError"):
            read()


def test_a_part_without_validation_images_of_a_class_is_refused_by_name(tmp_path: Path) -> None:
    published.write_tiny_imagenet(tmp_path, validated=published.WNIDS[:1])
    with pytest.raises(DataError, match="has no validation images of n01443537, n04067472") as refused:
        prepare_part("TinyImageNet", tmp_path, tmp_path / "data")
    assert "both sides of each class" in refused.value.remedy


def test_a_part_is_refused_where_it_makes_no_sense(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Digits cannot be read in parts"):
        prepare_part("Digits", tmp_path, tmp_path / "data")
    with pytest.raises(UsageError, match="'Tiny' is not known"):
        prepare_part("Tiny", tmp_path, tmp_path / "data")
    with pytest.raises(DataError, match=r"holds 0 files tiny-imagenet\*\.zip"):
        prepare_part("TinyImageNet", tmp_path, tmp_path / "data")
    (tmp_path / "tiny-imagenet-1.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="cannot be read as a part"):
        prepare_part("TinyImageNet", tmp_path, tmp_path / "data")


@pytest.mark.parametrize("typed", [{}, {"local": Path("a.zip"), "campaign": Path("a.toml")}])
def test_a_part_needs_its_archive_and_nothing_else(typed: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--subset needs --from and no --campaign"):
        prepare_command("TinyImageNet", data=tmp_path / "data", subset=True, **typed)


# As a user: typed, trained, looked at

CAMPAIGN = """
name = "photos"
datasets = ["Photos"]
teacher = "ResNetBaby"
student = "ResNetBaby"
methods = ["logit"]
alphas = [0.5]
seeds = [0]

[data.Photos]
folder = "photos"
size = 16
"""


def test_photos_are_prepared_trained_on_distilled_and_judged_by_their_own_chance_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    two_classes(tmp_path / "photos", train=32, test=50)
    (tmp_path / "photos.toml").write_text(CAMPAIGN)
    log = tmp_path / "log"
    identity = ["train", "--dataset", "Photos", "--seed", "0", "--epochs", "2", "--batch-size", "16", "--device", "cpu"]
    pure = [*identity, "--model", "ResNetBaby"]
    code, said = run(pure, log)
    assert (code, "'Photos' is not known" in said, "kd-core data prepare" in said) == (2, True, True)
    assert run(["data", "prepare", "Photos", "--campaign", "photos.toml"], log)[0] == 0
    assert "Photos in data is whole" in run(["data", "verify", "Photos"], log)[1]
    code, said = run(pure, log)
    assert code == 0, said
    pair = ["--method", "logit", "--alpha", "0.5", "--teacher", "ResNetBaby", "--student", "ResNetBaby"]
    code, said = run([*identity, *pair], log)
    assert code == 0, said
    record = json.loads((tmp_path / "experiments/Photos/pure/ResNetBaby/0/status.json").read_text())
    assert record["provenance"]["dataset"] == {"classes": 2, "train_items": 64, "test_items": 100, "size": 16}
    assert record["provenance"]["data_sha256"] == load_dataset(tmp_path / "data", "Photos").sha256
    assert record["state"] == "completed"
    code, said = run(["evaluate", "Photos/pure/ResNetBaby/0"], log)
    assert f"test accuracy {record['acc_last']:.2f} %" in said


def test_what_was_prepared_is_read_again_only_whole(tmp_path: Path) -> None:
    prepare(two_classes(tmp_path / "photos"), tmp_path / "data")
    manifest = tmp_path / "data/Mine/manifest.json"
    sound = manifest.read_text()
    content = json.loads(sound)
    assert (
        content["files"]["test_labels.npy"]
        == hashlib.sha256((tmp_path / "data/Mine/test_labels.npy").read_bytes()).hexdigest()
    )
    del content["own"]
    manifest.write_bytes(object_bytes(content))
    with pytest.raises(DataError, match="does not say what Mine is") as refused:
        load_dataset(tmp_path / "data", "Mine")
    assert "--campaign" in refused.value.remedy
