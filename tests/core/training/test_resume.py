"""A run that was killed, at any moment, any number of times, ends as the run that never was."""

from __future__ import annotations

import itertools
import json
import random
from contextlib import suppress
from pathlib import Path

import pytest

from tests.core.processes import dies_at, run, start
from tests.core.runs import arguments, directory, place
from tests.hpc.support import wait_until

METHODS = ["pure", "logit", "factor_transfer"]
"""Those that have something of their own to lose; test_reference kills a run of every method."""
KILLS = 5
FILES = ["best.pth", "last.pth", "representations.npz", "representations_best.npz"]


def results(root: Path, method: str, seed: int) -> dict[str, object]:
    """Everything a finished run left, but for times."""
    run_directory = directory(root, method, seed)
    metrics = json.loads((run_directory / "metrics.json").read_text())
    del metrics["seconds"], metrics["students"], metrics["checksum"]
    status = json.loads((run_directory / "status.json").read_text())
    kept = {key: status[key] for key in ("state", "epoch", "acc_last", "acc_best", "best_epoch", "provenance")}
    return {"metrics": metrics, **kept, **{name: (run_directory / name).read_bytes() for name in FILES}}


@pytest.mark.parametrize("method", METHODS)
def test_killed_at_random_moments_ends_bit_identical(method: str, teacher: Path, tmp_path: Path) -> None:
    more = ("--amp-dtype", "bfloat16") if method == "logit" else ()
    seed = 1 if method == "pure" else 0  # the pure run of seed 0 is the teacher itself
    whole = place(teacher, tmp_path / "whole")
    code, output = run(arguments(whole, method, seed=seed, more=more), whole / "log")
    assert code == 0, output
    moments = random.Random(METHODS.index(method))
    kills, attempts = 0, itertools.count()
    while kills < KILLS:
        broken = place(teacher, tmp_path / f"broken-{next(attempts)}")
        finished = False
        while not finished:
            begun = start(arguments(broken, method, seed=seed, more=more), broken / "log")
            was_killed = begun.kill_after(moments.uniform(0.05, 0.8) if kills < KILLS else 120)
            kills += was_killed
            finished = not was_killed
        assert begun.wait() == 0, begun.log.read_text()
        assert results(broken, method, seed) == results(whole, method, seed)


KILL_AT_PUBLISH = """
import os, signal, pathlib
real, seen = pathlib.Path.replace, [0]
def replace(self, target):
    seen[0] += 1
    if seen[0] == {number} and {before}:
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(self, target)
    if seen[0] == {number}:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
pathlib.Path.replace = replace
"""


@pytest.mark.parametrize("method", ["logit", "factor_transfer"])
def test_killed_around_every_file_it_publishes_it_ends_bit_identical(
    method: str, teacher: Path, tmp_path: Path
) -> None:
    whole, broken = place(teacher, tmp_path / "whole"), place(teacher, tmp_path / "broken")
    code, output = run(arguments(whole, method, epochs=2), whole / "log")
    assert code == 0, output
    deaths, number = 0, 1
    while True:
        prelude = KILL_AT_PUBLISH.format(number=2 + number, before=deaths % 2 == 0)
        if start(arguments(broken, method, epochs=2), broken / "log", prelude=prelude).wait() == 0:
            break
        deaths, number = deaths + 1, number + 1 if deaths % 2 else number
        assert_never_says_more_than_is_there(broken, method)
        assert deaths < 80, (broken / "log").read_text()
    assert deaths >= 10
    assert results(broken, method, 0) == results(whole, method, 0)


def assert_never_says_more_than_is_there(root: Path, method: str) -> None:
    for status in root.glob(f"experiments/Digits/{method}/**/status.json"):
        record = json.loads(status.read_text())
        present = {path.name for path in status.parent.iterdir()}
        if record["epoch"]:
            assert {"checkpoint.pth", "best.pth", "metrics.json"} <= present
        if record["state"] == "completed":
            assert present >= {*FILES}


def test_worker_loader_trains_the_same_weights_and_survives_kills(teacher: Path, tmp_path: Path) -> None:
    whole, broken = place(teacher, tmp_path / "whole"), place(teacher, tmp_path / "broken")
    assert run(arguments(whole, "logit", epochs=2), whole / "log")[0] == 0
    workers = arguments(broken, "logit", epochs=2, more=("--loader", "workers"))
    assert run(workers, broken / "log", prelude=dies_at("checkpoint.pth"))[0] < 0
    wait_until(lambda: not writers_of(broken / "log"))
    code, output = run(workers, broken / "log")
    assert code == 0, output
    assert results(broken, "logit", 0)["best.pth"] == results(whole, "logit", 0)["best.pth"]


def writers_of(log: Path) -> list[str]:
    """The processes whose output goes into the file."""
    found = []
    for stream in Path("/proc").glob("[0-9]*/fd/1"):
        with suppress(OSError):
            found += [stream.parts[2]] if stream.readlink() == log else []
    return found


def test_trained_again_it_says_that_it_is_complete_and_touches_nothing(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "again")
    assert run(arguments(root, "logit"), root / "log")[0] == 0
    files = list(directory(root, "logit").iterdir())
    before = {path: path.stat().st_mtime_ns for path in files}
    code, output = run(arguments(root, "logit"), root / "second")
    assert code == 0
    assert "is completed: 3 epochs" in output
    assert {path: path.stat().st_mtime_ns for path in directory(root, "logit").iterdir()} == before
