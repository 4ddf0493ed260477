"""Whatever happens to the bytes of any artefact: it is not believed, nothing breaks, and no other run notices."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kd_hpc.errors import KdError
from kd_hpc.inspection.integrity import check_tree
from kd_hpc.inspection.integrity_text import lines
from kd_hpc.store import BEST, METRICS
from tests.hpc.stopped import changes, snapshot
from tests.rot import NEIGHBOUR, RUN, Artefact, Outcome, Tree, outcome, run_mutations


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("rot"))


NAMES = (
    "record", "curves", "best weights", "best weights, planned with", "checkpoint", "spare", "paraphraser",
    "representations", "owner", "tick lock", "campaign", "known weights", "stuck jobs", "end of a local job",
    "numbers", "manifest", "images",
)  # fmt: skip


def artefact(tree: Tree, name: str) -> Artefact:
    (found,) = (one for one in tree.artefacts() if one.name == name)
    return found


def test_the_table_has_every_artefact_and_each_is_read_as_written(tree: Tree) -> None:
    everything = tree.artefacts()
    assert tuple(one.name for one in everything) == NAMES
    for one in everything:
        assert one.read() is not None, one.name
        assert one.read() == one.read(), one.name


def test_no_mutated_byte_is_believed_and_none_is_fatal(tree: Tree) -> None:
    before = snapshot(tree.root)
    found = run_mutations(tree, 10 * len(NAMES))
    assert set(found) == set(NAMES)
    for name, outcomes in found.items():
        assert set(outcomes) <= {Outcome.REFUSED, Outcome.SAME}, (name, outcomes)
        assert len(outcomes[Outcome.REFUSED]) > 7, name
    assert changes(before, snapshot(tree.root)) == [], "reading changes nothing, and no neighbour either"


def test_what_is_not_sealed_by_the_file_itself_is_found_by_the_record(tree: Tree) -> None:
    """Another run's whole and sound weights in place of these, as after a wrong copy."""
    other = (tree.store.directory(NEIGHBOUR) / BEST).read_bytes()
    came, said = outcome(artefact(tree, "best weights"), other)
    assert came == Outcome.REFUSED
    assert "is not the file that its run left behind" in said
    assert f"kd-hpc retry --anew {RUN.label}" in said


def pipe(path: Path, content: bytes) -> None:
    os.mkfifo(path)


def device(path: Path, content: bytes) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path, content: bytes) -> None:
    path.mkdir()


def outside(path: Path, content: bytes) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_bytes(content)
    path.symlink_to(elsewhere / "file")


@pytest.mark.parametrize("put", [pipe, device, folder, outside])
def test_nothing_but_a_regular_file_is_opened(tree: Tree, put: Callable[[Path, bytes], None]) -> None:
    for one in tree.artefacts():
        if put is outside and one.name in ("images", "campaign"):
            continue  # a data set and a campaign may lie elsewhere
        aside = one.path.with_name("aside")
        one.path.rename(aside)
        put(one.path, aside.read_bytes())
        try:
            content = None
            with contextlib.suppress(KdError, OSError):
                content = one.read()
            assert content is None, one.name
        finally:
            one.path.rmdir() if put is folder else one.path.unlink()
            aside.rename(one.path)
            if put is outside:
                (one.path.parent / "elsewhere/file").unlink()
                (one.path.parent / "elsewhere").rmdir()


CHECKED = ("record", "curves", "best weights", "checkpoint", "spare", "paraphraser", "representations", "owner",
           "tick lock", "campaign", "known weights", "stuck jobs")  # fmt: skip


@pytest.mark.parametrize("name", CHECKED)
def test_check_names_the_one_file_that_rotted_and_what_to_type(tree: Tree, name: str) -> None:
    one = artefact(tree, name)
    content = one.path.read_bytes()
    assert check_tree(tree.store, deep=True).damages == ()
    one.path.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:])
    try:
        checked = check_tree(tree.store, deep=True)
    finally:
        one.path.write_bytes(content)
    (damage,) = checked.damages
    of_a_run = tree.directory in one.path.parents
    assert damage.run == (RUN.label if of_a_run else "")
    assert one.path.name.startswith(Path(damage.file).name)
    assert "damaged" in damage.what or name == "record"
    said = "\n".join(lines(checked))
    assert damage.file in said
    assert f"    {damage.remedy}" in said.splitlines()
    assert ("kd-hpc " in damage.remedy) or ("rm " in damage.remedy)


def test_check_without_deep_sees_what_is_missing_or_of_another_length(tree: Tree) -> None:
    best, curves = tree.directory / BEST, tree.directory / METRICS
    content = best.read_bytes()
    best.write_bytes(content[:-1])
    kept = curves.read_bytes()
    curves.unlink()
    try:
        found = {damage.file: damage.what for damage in check_tree(tree.store, deep=False).damages}
    finally:
        best.write_bytes(content)
        curves.write_bytes(kept)
    assert found == {
        f"{RUN.label}/{BEST}": f"it has {len(content) - 1} bytes, not the {len(content)} on record",
        f"{RUN.label}/{METRICS}": "it is missing",
    }


def test_check_counts_what_it_read(tree: Tree) -> None:
    shallow, deep = (check_tree(tree.store, deep=deep) for deep in (False, True))
    assert (shallow.runs, shallow.read) == (2, 0)
    files = [path for run in (RUN, NEIGHBOUR) for path in tree.store.directory(run).iterdir()]
    assert deep.read == sum(
        path.stat().st_size for path in files if path.suffix in (".pth", ".npz") or path.name == METRICS
    )
    assert next(reversed(list(lines(shallow)))).endswith("of 2 runs: all as they were written")
