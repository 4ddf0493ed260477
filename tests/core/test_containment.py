"""One damaged file is that file's trouble: every command goes on, with one sentence about it and all about the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from kd_analysis.reading.runs_table import collect
from kd_hpc.cli import app
from kd_hpc.errors import KdError
from kd_hpc.store import BEST, METRICS, STATUS
from tests.rot import NEIGHBOUR, RUN, Artefact, Tree

COMMANDS = (
    ("status",),
    ("queue", "rot.toml", "--dry-run"),
    ("why", RUN.label),
    ("why", "Digits/*"),
    ("forecast", "rot.toml"),
    ("page", "rot.toml", "-o", "page.html"),
    ("check", "--deep"),
    ("retry", "--dry-run", NEIGHBOUR.label),
    ("diagnose", RUN.label),
    ("archive", "old", "--dry-run"),
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    return Tree(tmp_path_factory.mktemp("containment"))


def typed(*words: str) -> Result:
    """As a person would type it. Nothing but an expected failure is raised."""
    done = CliRunner().invoke(app, list(words))
    failure = done.exception
    assert failure is None or isinstance(failure, KdError | SystemExit), (words, repr(failure))
    return done


def bit(content: bytes) -> bytes:
    return content[:40] + bytes([content[40] ^ 1]) + content[41:]


def another_run(content: bytes) -> bytes:
    """Without a checksum, as earlier versions wrote it, with a method that nobody knows."""
    record = json.loads(content)
    del record["checksum"], record["revision"]
    record["schema_version"], record["experiment"]["method"] = 1, "alchemy"
    return json.dumps(record).encode()


def other_types(content: bytes) -> bytes:
    return json.dumps({name: [[name]] for name in json.loads(content) if name != "checksum"}).encode()


Rot = Callable[[bytes], bytes]
ROTS: dict[str, Rot] = {"one bit": bit, "too deep": lambda content: b"[" * 100_000}
OF_JSON: dict[str, Rot] = {"other types": other_types}
OF_RECORDS: dict[str, Rot] = {
    "another run": another_run,
    "nothing": lambda content: b"",
    "zeros": lambda content: bytes(len(content)),
    "a list": lambda content: b"[]",
}


def rots_of(artefact: Artefact) -> dict[str, Rot]:
    if artefact.path.name == STATUS:
        return ROTS | OF_JSON | OF_RECORDS
    return ROTS | OF_JSON if artefact.path.suffix == ".json" else ROTS


FILES = (
    "record", "curves", "best weights", "paraphraser", "owner", "tick lock", "campaign", "known weights", "stuck jobs"
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_no_command_is_stopped_by_one_damaged_file(name: str, tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.root)
    (artefact,) = (one for one in tree.artefacts() if one.name == name)
    content = artefact.path.read_bytes()
    for rot, damage in rots_of(artefact).items():
        artefact.path.write_bytes(damage(content))
        try:
            for words in COMMANDS:
                typed(*words)
            rows = {row["run"]: row for row in json.loads(typed("status", "--json").stdout)["runs"]}
            neighbour = typed("why", NEIGHBOUR.label).stdout
            reported = {item.run.path: item for item in collect(tree.store.root).runs}
        finally:
            artefact.path.write_bytes(content)
        assert rows[NEIGHBOUR.label]["state"] == "completed", rot
        assert rows[RUN.label]["state"] == ("unreadable" if name == "record" else "completed"), rot
        assert "completed, epoch 2 of 2" in neighbour, rot
        assert reported[NEIGHBOUR.label].run.record is not None, rot
        assert (reported[RUN.label].run.record is None) == (name == "record"), rot


@pytest.mark.parametrize("name", ["record", "curves"])
def test_a_run_with_a_damaged_file_is_told_and_the_rest_counted(
    name: str, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree.root)
    path = tree.directory / (STATUS if name == "record" else METRICS)
    content = path.read_bytes()
    path.write_bytes(bit(content))
    try:
        checked = typed("check")
        why = typed("why", RUN.label).stdout
    finally:
        path.write_bytes(content)
    assert checked.exit_code == 1
    assert str(path.relative_to(tree.store.root)) in checked.stdout
    assert "1 damaged or missing" in checked.stdout
    assert ("unreadable" in why) == (name == "record")


def test_students_wait_for_a_teacher_whose_weights_are_damaged(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.root)
    path: Path = tree.directory / BEST
    content = path.read_bytes()
    path.write_bytes(bit(content))
    (tree.control / "weights.json").unlink()
    try:
        told = typed("queue", "rot.toml", "--dry-run").stdout
        why = typed("why", "Digits/logit/alpha_0.5/ResNetBaby_to_ResNetBaby/0").stdout
    finally:
        path.write_bytes(content)
    assert "it is damaged: its digest is another" in " ".join(told.split())
    assert f"kd-hpc retry --anew {RUN.label}" in why
