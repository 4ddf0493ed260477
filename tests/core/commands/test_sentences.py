"""What a person is told where a command cannot go on: one sentence of what happened, and a next command that helps."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from kd_hpc.experiment import Experiment
from kd_hpc.records import State, StatusRecord
from kd_hpc.store import Store
from tests.core.processes import run
from tests.core.runs import arguments, directory, place, status
from tests.paths import BIN

INTERRUPTED = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
import {module} as module
owner, name = {owner}, {name!r}
work, calls = getattr(owner, name), []
def interrupted(*words, **options):
    calls.append(1)
    if len(calls) > {after}:
        os.kill(os.getpid(), signal.SIGINT)
    return work(*words, **options)
setattr(owner, name, interrupted)
"""
FULL = """
import torch, kd_core.run
from kd_core.training.step import PlainStep
def full(*words, **options):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB.\\nSee the documentation.")
{place} = full
"""


def interrupted(place: str, after: int = 0) -> str:
    """A prelude: Ctrl-C when `place`, as "kd_core.bench:Workload.seconds", is called after so many times."""
    module, _, path = place.partition(":")
    *owner, name = path.split(".")
    return INTERRUPTED.format(module=module, owner=".".join(("module", *owner)), name=name, after=after)


def told(output: str) -> str:
    """The sentences of kd-core itself; no traceback stands beside them."""
    assert "Traceback" not in output
    return "\n".join(line for line in output.splitlines() if line.startswith("kd-core:"))


def test_ctrl_c_while_training_says_how_far_it_came_and_goes_on(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    words = [*arguments(root, "logit"), "--beside", "nst:0.5"]
    prelude = interrupted("kd_core.run_writer:RunWriter.end_epoch", after=2)  # each has an epoch behind it
    code, output = run(words, root / "log", prelude=prelude)
    assert code == 130
    assert told(output).startswith("kd-core: Interrupted: Digits/logit/alpha_0.5/ResNetBaby_to_ResNetBaby/0 has ")
    assert told(output).endswith(" of 3 epochs, and so on for 1 beside it. The same command goes on from there.")
    code, output = run(words, root / "again")
    assert code == 0, output
    assert " epoch 1/3" not in output, "nothing finished was lost"
    assert status(root, "nst")["state"] == "completed"


@pytest.mark.parametrize(
    ("words", "at", "said"),
    [
        (["evaluate", "RUN"], "kd_core.training.evaluate:evaluate", "nothing was written"),
        (["extract", "RUN"], "kd_core.artifacts.representations:extract", "both files are as they were"),
        (["data", "prepare", "Digits"], "kd_core.data.prepare:_read", "files that came whole are kept"),
        (["bench", "--dataset", "Digits", "--method", "logit"], "kd_core.bench:Workload", "no figure is kept"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_ctrl_c_in_every_long_command_is_one_sentence_and_exit_130(
    words: list[str], at: str, said: str, teacher: Path, tmp_path: Path
) -> None:
    run_path = str(directory(teacher, "pure").relative_to(teacher / "experiments"))
    words = [run_path if word == "RUN" else word for word in words]
    data = tmp_path / "data" if words[0] == "data" else teacher / "data"
    words += [] if words[0] == "bench" else ["--data", str(data)]
    words += ["--experiments", str(teacher / "experiments")] if words[0] in ("evaluate", "extract") else []
    before = {path: path.stat().st_mtime_ns for path in teacher.rglob("*")}
    code, output = run(words, tmp_path / "log", prelude=interrupted(at))
    assert code == 130
    (line,) = told(output).splitlines()
    assert line.startswith("kd-core: Interrupted: ")
    assert said in line
    assert {path: path.stat().st_mtime_ns for path in teacher.rglob("*")} == before
    assert not list(tmp_path.glob("data/**/*.npy"))


def test_a_damaged_teacher_is_mended_by_the_commands_that_are_told(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    best = directory(root, "pure") / "best.pth"
    sound = best.read_bytes()
    best.write_bytes(sound[:1000])
    code, output = run(arguments(root, "logit"), root / "log")
    assert code == 1
    assert f"{best} cannot be used: " in told(output)
    assert not list(root.glob("experiments/Digits/logit/**/status.json"))
    commands = re.findall(r"(?:kd-hpc|kd-core) [^,]+", told(output).partition("train the run again: ")[2])
    aside, again = map(shlex.split, commands)
    subprocess.run([BIN / aside[0], *aside[1:], "--yes"], check=True, timeout=60, capture_output=True)
    assert not best.exists()
    code, output = run([*again[1:], "--data", str(root / "data"), "--device", "cpu"], root / "again")
    assert code == 0, output
    assert best.read_bytes() == sound, "the same recipe, so the same weights"
    assert run(arguments(root, "logit"), root / "then")[0] == 0


def test_a_suspect_teacher_is_to_be_bettered_not_put_back(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    store, run_of_it = Store(root / "experiments"), Experiment(dataset="Digits", student="ResNetBaby", seed=0)
    record = store.read(run_of_it)
    assert isinstance(record, StatusRecord)
    store.write(run_of_it, record.model_copy(update={"state": State.SUSPECT, "reason": "slow"}))
    code, output = run(arguments(root, "logit"), root / "log")
    assert code == 1
    assert "is suspect: slow. Look at its curves, then train a better one: kd-hpc retry --anew" in told(output)
    assert "Put that file back" not in output


def test_weights_that_are_gone_are_not_said_to_be_untrained(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    run_path = str(directory(root, "pure").relative_to(root / "experiments"))
    words = ["evaluate", run_path, "--experiments", str(root / "experiments"), "--data", str(root / "data")]
    code, output = run(words, root / "log")  # it has best.pth alone
    assert code == 1
    assert "last.pth does not exist." in told(output)
    assert f"kd-hpc retry --anew {run_path} --experiments {root / 'experiments'}, then kd-core train" in told(output)


def test_a_completed_run_asked_for_another_recipe_says_both_and_the_ways_out(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    before = (directory(root, "pure") / "status.json").read_bytes()
    code, output = run(arguments(root, "pure", epochs=5), root / "log")
    assert code == 2
    assert "Digits/pure/ResNetBaby/0 is completed, with another recipe: epochs 2, now 5." in told(output)
    assert f"kd-hpc retry --anew Digits/pure/ResNetBaby/0 --experiments {root / 'experiments'}, then" in told(output)
    assert (directory(root, "pure") / "status.json").read_bytes() == before
    assert run(arguments(root, "pure", epochs=2), root / "same")[0] == 0


def test_a_completed_control_arm_asked_again_is_complete(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    words = [*arguments(root, "pure", epochs=1), "--variant", "hard"]
    assert run(words, root / "log")[0] == 0
    code, output = run(words, root / "again")
    assert code == 0, output
    assert ": 1 epochs, test accuracy " in output


@pytest.mark.parametrize(
    ("beside", "where"),
    [((), "PlainStep.take"), (("nst:0.5", "fitnets:0.5"), "PlainStep.take"), (("nst:0.5",), "kd_core.run.Student")],
    ids=["one", "several", "before the first step"],
)
def test_a_full_gpu_asks_for_fewer_students_never_for_another_recipe(
    beside: tuple[str, ...], where: str, teacher: Path, tmp_path: Path
) -> None:
    root = place(teacher, tmp_path / "run")
    words = [word for other in beside for word in ("--beside", other)]
    code, output = run([*arguments(root, "logit"), *words], root / "log", prelude=FULL.format(place=where))
    assert code == 1
    (line,) = told(output).splitlines()
    assert "memory is full: CUDA out of memory. Tried to allocate 2.00 MiB. " in line
    assert ("students_per_job" in line) == bool(beside)
    assert "batch" not in line
    assert status(root, "logit")["state"] == "in_progress", "it may go on elsewhere"
