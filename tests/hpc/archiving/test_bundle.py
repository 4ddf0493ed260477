"""A bundle holds what an audit needs and nothing that is not there, or it is not written."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest

from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store
from tests.hpc.killed import snapshot
from tests.hpc.support import PURE, STUDENT, TEACHER, kd_hpc

WITH = {"metrics.json", "best.pth", "last.pth", "checkpoint.pth", "checkpoint.previous.pth", "representations.npz"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A finished teacher and student, and a pure run that goes on."""
    store = Store(tmp_path / "experiments")
    for run, state in ((TEACHER, State.COMPLETED), (STUDENT, State.COMPLETED), (PURE, State.FAILED)):
        facts = {"data_sha256": "d" * 64}
        attempt = Attempt(token="abcdefgh")
        store.write(run, StatusRecord(state=state, experiment=run, epoch=3, provenance=facts, attempts=(attempt,)))
        for name in WITH:
            (store.directory(run) / name).write_text(f"{run.label} {name}")
    return tmp_path


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        files = [entry for entry in archive.getmembers() if entry.isfile()]
        return {entry.name: archive.extractfile(entry).read() for entry in files}  # type: ignore[union-attr]


def test_a_bundle_has_the_runs_their_teachers_and_their_sums(place: Path) -> None:
    done = kd_hpc("bundle", "review", STUDENT.label, cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("review.tar: 1 runs, 9 files")
    found = members(place / "review.tar")
    run, teacher = (f"review/experiments/{run.label}/" for run in (STUDENT, TEACHER))
    assert {name.removeprefix(run) for name in found if name.startswith(run)} == {
        "status.json", *WITH - {"representations.npz"},
    }  # fmt: skip
    assert {name.removeprefix(teacher) for name in found if name.startswith(teacher)} == {
        "status.json", "metrics.json", "best.pth",
    }  # fmt: skip
    pairs = [line.split("  ") for line in found["review/SHA256SUMS"].decode().splitlines()]
    listed = {f"review/{name}": sha for sha, name in pairs}
    assert listed == {name: hashlib.sha256(found[name]).hexdigest() for name in listed}
    assert set(found) - set(listed) == {"review/SHA256SUMS", "review/README.txt"}
    readme = found["review/README.txt"].decode()
    assert f"kd-core audit {STUDENT.label} --experiments review/experiments" in readme
    assert f"kd-core data prepare Digits    # content {'d' * 64}" in readme


def test_without_runs_a_bundle_has_all_that_are_completed(place: Path) -> None:
    assert kd_hpc("bundle", "all", cwd=place).stdout.startswith("all.tar: 2 runs")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["review", PURE.label], "is not finished"),
        (["../review", STUDENT.label], "is no usable name"),
        (["there", STUDENT.label], "there.tar is there already"),
        (["review", "Digits/nst"], "Digits/nst"),
    ],
)
def test_a_bundle_that_cannot_be_is_not_begun(words: list[str], told: str, place: Path) -> None:
    (place / "there.tar").touch()
    before = snapshot(place)
    done = kd_hpc("bundle", *words, cwd=place)
    assert done.returncode == 2
    assert told in done.stderr
    assert snapshot(place) == before


def test_a_run_without_a_checkpoint_is_not_bundled(place: Path) -> None:
    (place / "experiments" / STUDENT.path / "checkpoint.pth").unlink()
    done = kd_hpc("bundle", "review", STUDENT.label, cwd=place)
    assert done.returncode == 2
    assert "nobody could audit it" in done.stderr
    assert not (place / "review.tar").exists()
