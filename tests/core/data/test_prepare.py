"""`kd-core data prepare` and `data verify`: what they refuse, what they leave, and that a flipped byte is seen."""

from __future__ import annotations

import gzip
import hashlib
import json
import signal
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from kd_core.data import prepare
from kd_core.data.images import MANIFEST, Manifest, load_dataset, verify_dataset
from kd_core.data.prepare import prepare_dataset
from kd_core.data.sources import SOURCES
from kd_core.data.sources.base import PublishedFile
from kd_hpc.catalogue import DATASETS
from kd_hpc.errors import DataError, FolderError, UsageError
from tests.core import published
from tests.core.processes import run, start

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
ARRAYS = ["test_images.npy", "test_labels.npy", "train_images.npy", "train_labels.npy"]
WRITERS = {
    "Cifar10": published.write_cifar10,
    "Cifar100": published.write_cifar100,
    "SVHN": published.write_svhn,
    "TinyImageNet": published.write_tiny_imagenet,
    "FashionMNIST": published.write_fashion_mnist,
}


def digest(path: Path, kind: str) -> str:
    """The hash that the table would hold for a file of this kind."""
    if kind == "FashionMNIST":
        return hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "published"
    made.mkdir()
    return made


def publish_small(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, address: str = "http://localhost:9/"
) -> None:
    """Write a small `name` into `folder`, and let the tables say that it is the published one."""
    WRITERS[name](folder)
    read = SOURCES[name].read
    files = tuple(PublishedFile(address + file.name, digest(folder / file.name, name)) for file in SOURCES[name].files)
    monkeypatch.setattr(f"kd_core.data.sources.{name.lower()}.SOURCE", SOURCES[name]._replace(files=files))
    train, test = read(folder)
    facts = DATASETS[name]._replace(train_items=len(train.labels), test_items=len(test.labels))
    monkeypatch.setitem(DATASETS.own, name, facts)


class Server:
    """The files of a folder over HTTP on the loopback interface, and what was asked for."""

    def __init__(self, folder: Path) -> None:
        asked: list[str] = []
        self.asked = asked

        class Handler(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                asked.append(self.path)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.http.server_address[1]}/"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    made = Server(folder)
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.mark.parametrize("name", WRITERS)
def test_prepared_arrays_are_the_published_images(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_small(name, folder, monkeypatch)
    manifest = prepare_dataset(name, tmp_path / "data", folder)
    prepared = load_dataset(tmp_path / "data", name)
    for ours, theirs in zip((prepared.train, prepared.test), SOURCES[name].read(folder), strict=True):
        assert np.array_equal(ours.images, theirs.images)
        assert np.array_equal(ours.labels, theirs.labels)
    assert prepared.sha256 == manifest.sha256
    assert prepared.facts.classes == {"Cifar100": 100, "TinyImageNet": 200}.get(name, 10)
    assert sorted(path.name for path in (tmp_path / "data" / name).iterdir()) == sorted([*ARRAYS, MANIFEST])
    assert prepare_dataset(name, tmp_path / "data", folder) == manifest


def test_a_download_is_checked_kept_and_not_fetched_again(
    folder: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_small("SVHN", folder, monkeypatch, server.address)
    downloads = tmp_path / "data" / "SVHN" / "downloads"
    downloads.mkdir(parents=True)
    (downloads / "train_32x32.mat.part").write_bytes(b"what a killed download left")
    manifest = prepare_dataset("SVHN", tmp_path / "data")
    assert sorted(path.name for path in downloads.iterdir()) == ["test_32x32.mat", "train_32x32.mat"]
    assert manifest.source == server.address + "train_32x32.mat"
    asked = len(server.asked)
    assert asked >= 2
    assert prepare_dataset("SVHN", tmp_path / "data") == manifest
    assert len(server.asked) == asked
    assert capsys.readouterr().out == ""


def test_a_download_that_broke_is_fetched_again_by_the_same_command(
    folder: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_small("FashionMNIST", folder, monkeypatch, server.address)
    (path,) = folder.glob("t10k-images*")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(DataError, match=r"is not the published file.*Fetch it again from http"):
        prepare_dataset("FashionMNIST", tmp_path / "data")
    downloads = tmp_path / "data" / "FashionMNIST" / "downloads"
    assert not list(downloads.glob("t10k-images*"))
    assert not list(downloads.glob("*.part"))
    path.write_bytes(whole)
    damaged = downloads / "train-labels-idx1-ubyte.gz"  # fetched whole before, damaged since
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    prepare_dataset("FashionMNIST", tmp_path / "data")
    assert verify_dataset(tmp_path / "data", "FashionMNIST")


def test_no_network_is_one_sentence_that_says_what_to_fetch_elsewhere(
    folder: Path, tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_small("Cifar10", folder, monkeypatch, server.address)
    (folder / "cifar-10-python.tar.gz").unlink()  # the server now answers 404
    with pytest.raises(
        DataError, match=r"could not be downloaded.*404.*Fetch cifar-10-python.tar.gz elsewhere.*--from"
    ):
        prepare_dataset("Cifar10", tmp_path / "data")
    server.http.shutdown()
    server.http.server_close()  # and now nobody answers
    with pytest.raises(DataError, match=r"could not be downloaded.*refused"):
        prepare_dataset("Cifar10", tmp_path / "data")
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", ["missing", "other", "truncated", "garbage", "bit", "empty"])
@pytest.mark.parametrize("name", ["FashionMNIST", "SVHN"])
def test_a_file_that_is_not_the_published_one_is_refused_unwritten(
    damage: str, name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_small(name, folder, monkeypatch)
    path = folder / SOURCES[name].files[-1].name
    match damage:
        case "missing":
            path.unlink()
        case "other":
            path.write_bytes((folder / SOURCES[name].files[0].name).read_bytes())
        case "truncated":
            path.write_bytes(path.read_bytes()[:-20])
        case "garbage":
            path.write_bytes(b"<html>Sign in to the hotel's network</html>")
        case "bit":
            flip(path, len(path.read_bytes()) // 2)
        case "empty":
            path.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        prepare_dataset(name, tmp_path / "data", folder)
    assert str(path) in caught.value.what
    assert "http://localhost:9/" + path.name in caught.value.remedy
    assert not (tmp_path / "data").exists()


def test_another_number_of_images_than_published_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_small("FashionMNIST", folder, monkeypatch)
    monkeypatch.setitem(DATASETS.own, "FashionMNIST", DATASETS["FashionMNIST"]._replace(test_items=21))
    with pytest.raises(DataError, match=r"20 images of 32x32 and 20 labels in a split of 21.*Fetch"):
        prepare_dataset("FashionMNIST", tmp_path / "data", folder)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", WRITERS)
def test_content_that_no_reader_understands_is_one_sentence(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_small(name, folder, monkeypatch)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    monkeypatch.setattr(prepare, "_require_published", lambda path, file: None)
    with pytest.raises(DataError, match=rf"The files of {name} in .* cannot be read"):
        prepare_dataset(name, tmp_path / "data", folder)
    assert not (tmp_path / "data").exists()


def test_an_unknown_name_and_an_impossible_folder_are_refused(tmp_path: Path) -> None:
    for refuse in (partial(prepare_dataset, "Cifar11", tmp_path), partial(verify_dataset, tmp_path, "Cifar11")):
        with pytest.raises(UsageError, match="Known: Cifar10, Cifar100"):
            refuse()
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match="Name another with --data"):
        prepare_dataset("Digits", tmp_path / "file")


KILL_AT_FSYNC = """
import os, signal
left, fsync = [{number}], os.fsync
def fsync_or_die(descriptor):
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(descriptor)
os.fsync = fsync_or_die
"""


@pytest.mark.parametrize("number", [1, 6, 9])  # ten in all: each array and the manifest, then its folder
def test_killed_while_preparing_leaves_no_manifest_and_goes_on(number: int, tmp_path: Path) -> None:
    words = ["data", "prepare", "Digits", "--data", str(tmp_path)]
    killed = start(words, tmp_path / "log", prelude=KILL_AT_FSYNC.format(number=number))
    assert killed.wait() == -signal.SIGKILL
    with pytest.raises(DataError, match="Digits is not prepared"):
        load_dataset(tmp_path, "Digits")
    assert prepare_dataset("Digits", tmp_path) == verify_dataset(tmp_path, "Digits")


@pytest.mark.parametrize("file", ARRAYS)
@pytest.mark.parametrize("place", [0, -1])
def test_verify_sees_one_flipped_bit(file: str, place: int, tmp_path: Path) -> None:
    prepare_dataset("Digits", tmp_path)
    flip(tmp_path / "Digits" / file, place)
    with pytest.raises(DataError, match=rf"{file} is not the file that was prepared.*kd-core data prepare Digits"):
        load_dataset(tmp_path, "Digits")


@pytest.mark.parametrize("content", ["", "{}", '{"name": "Digits"', "\x00"])
def test_a_damaged_manifest_is_one_sentence(content: str, tmp_path: Path) -> None:
    prepare_dataset("Digits", tmp_path)
    (tmp_path / "Digits" / MANIFEST).write_text(content)
    with pytest.raises(DataError, match=r"manifest.json is unreadable.*kd-core data prepare Digits"):
        verify_dataset(tmp_path, "Digits")


def test_one_data_set_in_the_folder_of_another_is_seen(tmp_path: Path) -> None:
    prepare_dataset("Digits", tmp_path)
    (tmp_path / "Digits").rename(tmp_path / "SVHN")
    with pytest.raises(DataError, match=r"holds Digits, by its manifest.json, not SVHN"):
        load_dataset(tmp_path, "SVHN")


def test_an_array_with_another_arrays_content_has_another_identity(tmp_path: Path) -> None:
    first = Manifest(name="Digits", source="", files={"a": "1", "b": "2"})
    assert first.sha256 != Manifest(name="Digits", source="", files={"a": "2", "b": "1"}).sha256
    assert first.sha256 == Manifest(name="Digits", source="elsewhere", files={"b": "2", "a": "1"}).sha256


def test_prepare_and_verify_as_typed(tmp_path: Path) -> None:
    words = ["Digits", "--data", str(tmp_path)]
    code, output = run(["data", "verify", *words], tmp_path / "1")
    assert code == 1
    assert output == (
        f"kd-core: Digits is not prepared in {tmp_path}. "
        f"On a machine with internet: kd-core data prepare Digits --data {tmp_path}\n"
    )
    code, output = run(["data", "prepare", *words], tmp_path / "2")
    assert (code, output.count("\n")) == (0, 1), output
    code, output = run(["data", "verify", *words, "--json"], tmp_path / "3")
    assert code == 0
    assert sorted(json.loads(output)["files"]) == ARRAYS
    flip(tmp_path / "Digits" / "test_labels.npy", -1)
    code, output = run(["data", "verify", *words], tmp_path / "4")
    assert code == 1
    assert f"kd-core data prepare Digits --data {tmp_path}" in output


def test_files_that_are_not_in_the_folder_named_are_one_sentence_as_typed(tmp_path: Path) -> None:
    words = ["data", "prepare", "FashionMNIST", "--data", str(tmp_path / "data"), "--from", str(tmp_path / "nowhere")]
    code, output = run(words, tmp_path / "log")
    assert code == 1
    assert "train-images-idx3-ubyte.gz is missing. It is published at http" in output
    assert len(output.splitlines()) == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_debians_fashion_mnist_files_are_prepared_as_typed(tmp_path: Path) -> None:
    words = ["data", "prepare", "FashionMNIST", "--data", str(tmp_path), "--from", str(DEBIAN)]
    code, output = run(words, tmp_path / "log")
    assert code == 0, output
    prepared = load_dataset(tmp_path, "FashionMNIST")
    assert (prepared.train.images.shape, prepared.test.images.shape) == ((60000, 1, 32, 32), (10000, 1, 32, 32))
    assert np.bincount(prepared.train.labels).tolist() == [6000] * 10
