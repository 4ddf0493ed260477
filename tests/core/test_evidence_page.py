"""docs/evidence.md: a data set's section is replaced alone, and the images are the archives' first of each class."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.evidence.images import lay_out
from benchmarks.evidence.page import with_section

PAGE = "# Evidence\n\n## One\n\n1\n\n## Two\n\n2\n"


def test_a_section_is_replaced_where_it_stands_or_comes_last() -> None:
    assert with_section(PAGE, "## One\n\nnew\n") == "# Evidence\n\n## One\n\nnew\n\n## Two\n\n2\n"
    assert with_section(PAGE, "## Two\n\nnew\n") == "# Evidence\n\n## One\n\n1\n\n## Two\n\nnew\n"
    assert with_section(PAGE, "## Three\n\n3\n") == PAGE + "\n## Three\n\n3\n"


def cifar(place: Path) -> Path:
    with tarfile.open(place / "images.tar.xz", "w:xz") as archive:
        for split in ("train", "test"):
            for name in ("0002", "0001", "0003"):
                for label in ("cat", "dog"):
                    entry = tarfile.TarInfo(f"images/{split}/{label}/{name}.jpg")
                    entry.size = 1
                    archive.addfile(entry, io.BytesIO(b"x"))
    return place / "images.tar.xz"


def tiny(place: Path) -> Path:
    with zipfile.ZipFile(place / "tiny.zip", "w") as archive:
        for label in ("cat", "dog"):
            for name in ("2", "1", "3"):
                archive.writestr(f"tiny/train/{label}/images/{label}_{name}.JPEG", "x")
        archive.writestr("tiny/val/val_annotations.txt", "a.JPEG\tdog\t0\nb.JPEG\tcat\t0\nc.JPEG\tdog\t0\n")
        for name in "abc":
            archive.writestr(f"tiny/val/images/{name}.JPEG", "x")
    return place / "tiny.zip"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (cifar, {f"{split}/{x}/000{n}.jpg" for split in ("train", "test") for x in ("cat", "dog") for n in (1, 2)}),
        (
            tiny,
            {f"train/{x}/{x}_{n}.JPEG" for x in ("cat", "dog") for n in (1, 2)}
            | {"test/cat/b.JPEG", "test/dog/a.JPEG", "test/dog/c.JPEG"},
        ),
    ],
)
def test_the_first_images_of_each_class_are_laid_out_as_labelled(
    make: Callable[[Path], Path], expected: set[str], tmp_path: Path
) -> None:
    lay_out(make(tmp_path), tmp_path / "images", 4, 4)
    found = (path for path in (tmp_path / "images").rglob("*") if path.is_file())
    assert {path.relative_to(tmp_path / "images").as_posix() for path in found} == expected
