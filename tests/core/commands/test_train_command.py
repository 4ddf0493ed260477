"""`kd-core train` as a person types it: what it refuses, what it says, what it leaves behind."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from kd_hpc.errors import LockHeld
from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store
from tests.core.processes import dies_at, run, start
from tests.core.runs import arguments, directory, place, status

PURE = ["--dataset", "Digits", "--model", "ResNetBaby", "--seed", "0"]
RKD = ["--dataset", "Digits", "--method", "rkd", "--alpha", "0.5", "--teacher", "ResNet20", "--student", "ResNetBaby",
       "--seed", "0"]  # fmt: skip


def files_below(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() and path.name != "log")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dataset", "Cifar11", "--model", "ResNet20", "--seed", "0"], "data set 'Cifar11' is not known"),
        (["--dataset", "Digits", "--model", "ResNet21", "--seed", "0"], "model 'ResNet21' is not known"),
        (["--dataset", "Di/gits", "--model", "ResNet20", "--seed", "0"], "is no usable name"),
        (["--dataset", "Di\ngits", "--model", "ResNet20", "--seed", "0"], "is no usable name"),
        (["--dataset", "Digits", "--seed", "0"], "either pure or distilled"),
        ([*PURE, "--alpha", "0.5"], "belong to --method"),
        (["--dataset", "Digits", "--method", "kd", "--alpha", "0.5", "--teacher", "ResNet20", "--student", "ResNetBaby",
          "--seed", "0"], "method 'kd' is not known"),
        (["--dataset", "Digits", "--method", "rkd", "--alpha", "1.5", "--teacher", "ResNet20", "--student",
          "ResNetBaby", "--seed", "0"], "outside [0, 1]"),
        (["--dataset", "Digits", "--method", "rkd", "--alpha", "0.5", "--student", "ResNetBaby", "--seed", "0"],
         "needs a teacher and an alpha"),
        ([*PURE, "--epochs", "0"], "--epochs"),
        ([*PURE, "--lr", "-1"], "--lr"),
        ([*PURE, "--amp-dtype", "float8"], "--amp-dtype"),
        ([*PURE, "--weight", "rkd.angle=heavy"], "--weight"),
        ([*PURE, "--weight", "rkd.angle=2"], "--weight: 'rkd.angle' is no loss term here: pure runs have none."),
        ([*RKD, "--weight", "rkd.angel=2"], "rkd has rkd.distance, rkd.angle. Did you mean rkd.angle?"),
        ([*RKD, "--weight", "logit.kl=1"], "'logit.kl' is no loss term here: rkd has rkd.distance, rkd.angle."),
        ([*RKD, "--epochs", "3", "--representation-epoch", "4"], "epoch 4 never ends; epochs are 1 to 3"),
        (["--dataset", "Digits", "--model", "ResNetBaby", "--seed", "-1"], "seed -1"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_exit_2_and_nothing_written(words: list[str], said: str, tmp_path: Path) -> None:
    folders = ["--experiments", str(tmp_path / "experiments"), "--data", str(tmp_path / "data")]
    code, output = run(["train", *folders, *words], tmp_path / "log")
    assert code == 2
    assert said in output
    assert "Traceback" not in output
    assert len(output.strip().splitlines()) <= 2
    assert files_below(tmp_path) == []


def test_an_experiments_folder_that_cannot_be_is_exit_2(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = ["--experiments", str(tmp_path / "file" / "experiments"), "--data", str(tmp_path / "data")]
    code, output = run(["train", *words, *PURE], tmp_path / "log")
    assert code == 2
    assert "cannot be written" in output


def test_a_missing_teacher_names_the_command_that_trains_it(tmp_path: Path) -> None:
    code, output = run(arguments(tmp_path, "rkd"), tmp_path / "log")
    assert code == 1
    assert "Train it first: kd-core train" in output
    assert "--model ResNetBaby --seed 0" in output
    assert not list(tmp_path.glob("experiments/Digits/rkd/**/*"))


def test_an_unprepared_data_set_names_the_command_that_prepares_it(tmp_path: Path) -> None:
    folders = ["--experiments", str(tmp_path / "experiments"), "--data", str(tmp_path / "data")]
    words = ["--dataset", "Cifar10", "--model", "ResNetBaby", "--seed", "0", "--device", "cpu"]
    code, output = run(["train", *folders, *words], tmp_path / "log")
    assert code == 1
    assert "kd-core data prepare Cifar10" in output
    assert not list((tmp_path / "experiments").rglob("*")) if (tmp_path / "experiments").exists() else True


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_missing_gpu_is_one_sentence_before_any_epoch(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    code, output = run([*arguments(root, "rkd"), "--device", "cuda"], root / "log")
    assert code == 1
    assert "No GPU is visible" in output
    assert "--device cpu" in output
    assert not (root / "experiments/Digits/rkd").exists()


def test_another_teacher_than_the_recorded_one_is_refused(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    store, experiment = Store(root / "experiments"), _student("rkd")
    store.write(experiment, StatusRecord(experiment=experiment, teacher_sha256="0" * 64))
    code, output = run(arguments(root, "rkd"), root / "second")
    assert code == 1
    assert "is not the teacher this run was started with" in output


def test_a_run_begun_with_another_recipe_is_refused_by_name_and_value(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    assert run(arguments(root, "logit", epochs=500), root / "log", prelude=dies_at("checkpoint.pth"))[0] < 0
    code, output = run(arguments(root, "logit", epochs=7), root / "second")
    assert code == 1
    assert "epochs 500, now 7" in output
    assert status(root, "logit")["epoch"] >= 0


def test_a_run_that_a_live_process_owns_is_refused(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    first = start(arguments(root, "logit", epochs=500), root / "log")
    first.until(lambda: any(root.glob("experiments/Digits/logit/**/checkpoint.pth")))
    code, output = run(arguments(root, "logit", epochs=500), root / "second")
    first.kill_after(0.0)
    assert code == 75
    assert "is in use" in output
    assert f"process {first.process.pid}" in output


@pytest.mark.parametrize(("token", "job"), [("other", "1.vm"), ("token", "2.vm"), ("other", "2.vm")])
def test_a_job_that_is_not_the_recorded_one_leaves_and_touches_nothing(
    token: str, job: str, teacher: Path, tmp_path: Path
) -> None:
    root = place(teacher, tmp_path / "run")
    store, experiment = Store(root / "experiments"), _student("rkd")
    attempt = Attempt(token="token", scheduler="pbs", job_id="1.vm")
    store.write(experiment, StatusRecord(state=State.QUEUED, experiment=experiment, attempts=(attempt,)))
    before = {path: path.read_bytes() for path in files_below(root / "experiments")}
    code, output = run(arguments(root, "rkd"), root / "log", KD_TOKEN=token, PBS_JOBID=job)
    assert code == 0
    assert "superseded" in output
    assert {path: path.read_bytes() for path in files_below(root / "experiments")} == before


def test_the_recorded_job_trains_and_its_attempt_says_so(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    store, experiment = Store(root / "experiments"), _student("logit")
    attempt = Attempt(token="token", scheduler="pbs", job_id="1.vm")
    store.write(experiment, StatusRecord(state=State.QUEUED, experiment=experiment, attempts=(attempt,)))
    code, output = run(arguments(root, "logit"), root / "log", KD_TOKEN="token", PBS_JOBID="1.vm")
    assert code == 0, output
    (last,) = status(root, "logit")["attempts"]
    assert (last["token"], last["start_epoch"], last["end_epoch"]) == ("token", 0, 3)
    assert last["host"] == os.uname().nodename


def test_a_start_by_hand_is_refused_while_a_job_may_be_alive(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    store, experiment = Store(root / "experiments"), _student("rkd")
    attempt = Attempt(token="token", scheduler="pbs", job_id="1.vm")
    store.write(experiment, StatusRecord(state=State.QUEUED, experiment=experiment, attempts=(attempt,)))
    code, output = run(arguments(root, "rkd"), root / "log")
    assert code == 75
    assert "job 1.vm" in output
    assert "kd-hpc cancel" in output


def test_the_record_says_where_the_result_comes_from(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    assert run(arguments(root, "logit"), root / "log")[0] == 0
    record, (best,) = status(root, "logit"), root.glob("experiments/Digits/pure/**/0/best.pth")
    facts = record["provenance"]
    assert facts["torch"] == torch.__version__
    assert (facts["device"], facts["dtype"], facts["threads"]) == ("cpu", "float32", 1)
    assert facts["teacher"]["sha256"] == hashlib.sha256(best.read_bytes()).hexdigest()
    assert len(facts["data_sha256"]) == len(facts["code_sha256"]) == 64
    assert record["recipe"]["epochs"] == 3
    metrics = json.loads((directory(root, "logit") / "metrics.json").read_text())
    assert metrics["students"] == [1, 1, 1]
    lists = [metrics[name] for name in ("train_loss", "train_acc", "test_loss", "test_acc", "lr", "seconds")]
    assert {len(values) for values in [*lists, *metrics["terms"].values(), *metrics["gradient_norms"].values()]} == {3}
    assert set(metrics["terms"]) == {"ce", "kl"}


def test_a_paraphraser_is_trained_once_a_teacher_for_every_alpha(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    for alpha in (0.25, 0.75):
        code, output = run(arguments(root, "factor_transfer", alpha=alpha), root / f"log-{alpha}")
        assert code == 0, output
        assert ("paraphraser epoch 2" in output) == (alpha == 0.25)
    (shared,) = root.glob("experiments/Digits/pure/ResNetBaby/0/paraphraser-*.pth")
    copies = list(root.glob("experiments/Digits/factor_transfer/**/paraphraser.pth"))
    assert len(copies) == 2
    for copy in copies:
        assert copy.read_bytes() == shared.read_bytes()
    assert not list(root.glob("experiments/**/paraphraser.checkpoint*"))


FULL_DISK = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
"""


@pytest.fixture(scope="module")
def whole(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four epochs in one go."""
    root = place(teacher, tmp_path_factory.mktemp("whole") / "root")
    assert run(arguments(root, "logit", epochs=4), root / "log")[0] == 0
    return root


@pytest.fixture(scope="module")
def begun(teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, killed as its second checkpoint was published."""
    root = place(teacher, tmp_path_factory.mktemp("begun") / "root")
    assert run(arguments(root, "logit", epochs=4), root / "log", prelude=dies_at("checkpoint.pth", 2))[0] < 0
    return root


def again(begun: Path, root: Path) -> Path:
    """A copy of it, to go on from."""
    return Path(shutil.copytree(begun, root, symlinks=True))


def test_a_full_disk_keeps_the_last_checkpoint_and_the_run_goes_on_later(
    whole: Path, begun: Path, tmp_path: Path
) -> None:
    root = again(begun, tmp_path / "run")
    checkpoint = directory(root, "logit") / "checkpoint.pth"
    before = checkpoint.read_bytes()
    code, output = run(arguments(root, "logit", epochs=4), root / "full", prelude=FULL_DISK.format(size=500_000))
    assert code == 1
    assert "checkpoint.pth could not be written: File too large" in output
    assert "Traceback" not in output
    assert checkpoint.read_bytes() == before
    assert status(root, "logit")["state"] == "in_progress"
    assert run(arguments(root, "logit", epochs=4), root / "later")[0] == 0
    assert (directory(root, "logit") / "last.pth").read_bytes() == (directory(whole, "logit") / "last.pth").read_bytes()


@pytest.mark.parametrize("damage", ["truncated", "foreign", "garbage"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(
    damage: str, whole: Path, begun: Path, tmp_path: Path
) -> None:
    root = again(begun, tmp_path / "run")
    checkpoint = directory(root, "logit") / "checkpoint.pth"
    content = checkpoint.read_bytes()
    checkpoint.unlink()  # it may be one file with the one before, if the kill came between two renames
    if damage == "foreign":
        saved = torch.load(io.BytesIO(content), weights_only=True)
        saved["identity"]["experiment"] = "Digits/logit/alpha_0.1/ResNetBaby_to_ResNetBaby/0"
        torch.save(saved, checkpoint)
    else:
        checkpoint.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"not a checkpoint")
    damaged = checkpoint.read_bytes()
    code, output = run(arguments(root, "logit", epochs=4), root / "again")
    assert code == 0, output
    assert "was not used and moved to checkpoint.pth.quarantined.0" in output
    assert (checkpoint.parent / "checkpoint.pth.quarantined.0").read_bytes() == damaged
    assert (checkpoint.parent / "checkpoint.pth.quarantined.0.reason").read_text().strip()
    assert " epoch 1/4" not in output
    assert " epoch 2/4" in output
    assert (directory(root, "logit") / "last.pth").read_bytes() == (directory(whole, "logit") / "last.pth").read_bytes()


def test_evaluate_and_extract_agree_with_the_record(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    assert run(arguments(root, "logit"), root / "log")[0] == 0
    folders = ["--experiments", str(root / "experiments"), "--data", str(root / "data"), "--device", "cpu"]
    run_path = _student("logit").label
    for weights, key in (("last", "acc_last"), ("best", "acc_best")):
        code, output = run(["evaluate", run_path, *folders, "--weights", weights, "--json"], root / weights)
        assert code == 0, output
        assert json.loads(output)["accuracy"] == status(root, "logit")[key]
    before = (directory(root, "logit") / "representations.npz").read_bytes()
    (directory(root, "logit") / "representations.npz").unlink()
    code, output = run(["extract", run_path, *folders], root / "extract")
    assert code == 0, output
    assert (directory(root, "logit") / "representations.npz").read_bytes() == before


def _student(method: str) -> Experiment:
    pair = {"teacher": "ResNetBaby", "student": "ResNetBaby"}
    return Experiment(dataset="Digits", method=method, alpha=0.5, seed=0, **pair)


SP_HAS_NO_GRADIENT = """
import torch
from kd_core.methods.sp import SP
def terms(self, student, teacher):
    return {"similarity": torch.sqrt((student.logits * 0).square().sum())}
SP.terms = terms
"""


def test_a_student_that_fails_is_free_while_its_neighbour_goes_on(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    words = [*arguments(root, "logit", epochs=5, more=("--watchdog-skips", "4")), "--beside", "sp:0.5"]
    beside = start(words, root / "log", prelude=SP_HAS_NO_GRADIENT)
    beside.until(
        lambda: any(root.glob("experiments/Digits/sp/**/status.json")) and status(root, "sp")["state"] == "failed"
    )
    failed = status(root, "sp")
    assert beside.process.is_alive()
    assert status(root, "logit")["state"] == "in_progress"
    assert "step 4" in failed["reason"]
    assert failed["attempts"][-1]["ended_at"]
    store, experiment = Store(root / "experiments"), _student("sp")
    record = store.read(experiment)
    assert isinstance(record, StatusRecord)

    def is_free() -> bool:
        try:
            store.write(experiment, record.model_copy(update={"state": State.NOT_STARTED, "reason": "", "remedy": ""}))
        except LockHeld:
            return False
        return True

    beside.until(is_free)
    code, output = run(arguments(root, "sp", epochs=5, more=("--watchdog-skips", "4")), root / "again")
    assert code == 0, output
    content = (directory(root, "sp") / "status.json").read_bytes()
    assert beside.wait() == 1
    assert (directory(root, "sp") / "status.json").read_bytes() == content, "nothing of it was written any more"
    assert status(root, "logit")["state"] == "completed"


@pytest.mark.parametrize(
    ("words", "said"),
    [(["rkd"], "not METHOD:ALPHA"), (["logit:0.5"], "named twice"), (["kd:0.5"], "not known"), (["rkd:2"], "outside")],
)
def test_a_student_beside_that_cannot_be_is_refused(words: list[str], said: str, teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    code, output = run([*arguments(root, "logit"), "--beside", *words], root / "log")
    assert code == 2
    assert said in output
    assert not (root / "experiments/Digits/logit").exists()


def test_representations_are_kept_at_the_chosen_epochs_too(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    code, output = run([*arguments(root, "logit"), "--representation-epoch", "1"], root / "log")
    assert code == 0, output
    names = ["representations_epoch_1.npz", "representations.npz", "representations_best.npz"]
    for name in names:
        with np.load(directory(root, "logit") / name) as arrays:
            shapes = {key: arrays[key].shape for key in arrays}
            assert arrays["layer1"].dtype == np.float32
            assert np.array_equal(arrays["item_index"], np.arange(120))
        widths = {"layer1": 16, "layer2": 32, "layer3": 64, "logits": 10}
        assert shapes == {
            **{key: (120, width) for key, width in widths.items()},
            "labels": (120,),
            "item_index": (120,),
        }
    first, last = (np.load(directory(root, "logit") / name)["logits"] for name in names[:2])
    assert not np.array_equal(first, last)


def test_a_paraphraser_of_another_recipe_is_trained_anew(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    for number, more in enumerate([(), ("--lr", "0.01"), ("--temperature", "2")]):
        words = arguments(root, "factor_transfer", epochs=1, alpha=(number + 1) / 4, more=more)
        code, output = run(words, root / f"log-{number}")
        assert code == 0, output
        assert ("paraphraser epoch 2" in output) == (number < 2), more  # the temperature says nothing of stage 1
    assert len(list(root.glob("experiments/Digits/pure/ResNetBaby/0/paraphraser-*.pth"))) == 2
