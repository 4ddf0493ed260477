"""A recorded step changes what a plain step changes, bit for bit, or it is not used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kd_core.data.images import Split, load_dataset
from kd_core.data.loaders import Loader, make_loader
from kd_core.methods import METHODS
from kd_core.methods.base import untrained
from kd_core.networks import build
from kd_core.runtime.determinism import make_deterministic
from kd_core.runtime.device import place
from kd_core.teacher.frozen import Frozen, freeze
from kd_core.training.cuda_graphs import CudaGraphs
from kd_core.training.loop import train
from kd_core.training.step import PlainStep, RecordedStep
from kd_core.training.student import Student
from kd_hpc.errors import WatchdogStop
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from tests.core.emulated_graphs import EmulatedGraphs

CPU = torch.device("cpu")
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
RECIPE = Recipe(epochs=2, batch_size=64, watchdog_skips=2)


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    torch.manual_seed(1)
    return freeze(build("ResNetBaby", 10), torch.float32, fold=True)


def loader(teacher: Path, augment: str = "auto", kind: str = "device", device: torch.device = CPU) -> Loader:
    """An epoch of three steps: the first, a second of the same size, a smaller last one."""
    whole = load_dataset(teacher / "data", "Digits")
    train, test = (Split(split.images[:160], split.labels[:160]) for split in (whole.train, whole.test))
    few = whole._replace(train=train, test=test)
    return make_loader(kind, few, seed=0, batch_size=64, augment=augment, device=device)


def student(method: str, frozen: Frozen, dtype: torch.dtype = torch.float32, device: torch.device = CPU) -> Student:
    experiment = Experiment(
        dataset="Digits", method=method, alpha=0.5, teacher="ResNetBaby", student="ResNetBaby", seed=0
    )
    torch.manual_seed(2)
    return Student(experiment, RECIPE, frozen, device, dtype, untrained)


def outcome(of: Student) -> dict[str, object]:
    curves = {name: values for name, values in of.curves.data.items() if name not in ("seconds", "students")}
    tensors = {str(place): value.clone() for place, value in enumerate(of.tensors)}
    return {"curves": curves, "watchdog": of.updater.state_dict()["watchdog"], **tensors}


def assert_same(left: Student, right: Student) -> None:
    ours, theirs = outcome(left), outcome(right)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, theirs[name]), name  # type: ignore[arg-type]
        else:
            assert value == theirs[name], name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_to_the_same_bits_recorded_and_plain(
    method: str, dtype: torch.dtype, teacher: Path, frozen: Frozen
) -> None:
    batches, graphs = loader(teacher), EmulatedGraphs()
    recorded, plain = student(method, frozen, dtype), student(method, frozen, dtype)
    train([plain], PlainStep(batches, frozen), batches, lambda student, is_best: None)
    train([recorded], RecordedStep(PlainStep(batches, frozen), graphs), batches, lambda student, is_best: None)
    assert recorded.failure is None
    assert_same(recorded, plain)
    assert graphs.recorded == 2  # one size of batch, and the smaller last one
    assert graphs.replayed == RECIPE.epochs * (batches.steps - 1)  # an epoch's first step is plain


@pytest.mark.parametrize("kind", ["device", "workers"])
@pytest.mark.parametrize("augment", ["crop-flip", "resized-crop", "none"])
def test_making_the_batch_is_part_of_what_is_recorded(kind: str, augment: str, teacher: Path, frozen: Frozen) -> None:
    batches, graphs = loader(teacher, augment, kind), EmulatedGraphs()
    recorded, plain = student("logit", frozen), student("logit", frozen)
    train([plain], PlainStep(batches, frozen), batches, lambda student, is_best: None)
    train([recorded], RecordedStep(PlainStep(batches, frozen), graphs), batches, lambda student, is_best: None)
    assert graphs.replayed
    assert_same(recorded, plain)


def test_students_recorded_together_end_with_the_bits_each_has_alone(teacher: Path, frozen: Frozen) -> None:
    batches, graphs = loader(teacher), EmulatedGraphs()
    together = [student(method, frozen) for method in METHODS]
    train(together, RecordedStep(PlainStep(batches, frozen), graphs), batches, lambda student, is_best: None)
    assert graphs.replayed
    for beside in together:
        alone = student(beside.experiment.method, frozen)
        train([alone], PlainStep(batches, frozen), batches, lambda student, is_best: None)
        assert_same(beside, alone)


def test_a_recording_that_gives_other_bits_is_refused_and_said_so(
    teacher: Path, frozen: Frozen, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = loader(teacher)
    recorded, plain = student("rkd", frozen), student("rkd", frozen)
    bias = recorded.model.get_parameter("linear.bias")

    def spoil() -> None:
        bias.data.add_(1e-6)

    graphs = EmulatedGraphs(spoil)
    train([recorded], RecordedStep(PlainStep(batches, frozen), graphs), batches, lambda student, is_best: None)
    train([plain], PlainStep(batches, frozen), batches, lambda student, is_best: None)
    assert_same(recorded, plain)
    assert graphs.replayed == 1
    assert "it does not give the same bits" in capsys.readouterr().err


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_step_that_cannot_be_recorded_trains_plainly_and_says_why(
    dtype: torch.dtype,
    teacher: Path,
    frozen: Frozen,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    batches = loader(teacher)
    plain, recorded = student("logit", frozen, dtype), student("logit", frozen, dtype)
    train([plain], PlainStep(batches, frozen), batches, lambda student, is_best: None)
    method = recorded.objective.method
    assert method is not None
    terms = method.terms
    # reads a value, which makes the host wait
    monkeypatch.setattr(method, "terms", lambda *pair: (bool(pair[0].logits.sum() > 0), terms(*pair))[1])
    train(
        [recorded], RecordedStep(PlainStep(batches, frozen), EmulatedGraphs()), batches, lambda student, is_best: None
    )
    assert "cannot be recorded (operation not permitted" in capsys.readouterr().err
    assert_same(recorded, plain)


def test_the_watchdog_sees_through_a_recording(teacher: Path, frozen: Frozen) -> None:
    batches, graphs = loader(teacher), EmulatedGraphs()
    failing, healthy = student("rkd", frozen), student("logit", frozen)
    poisoned = failing.model.get_parameter("linear.weight")

    def poison() -> None:  # from the second epoch on
        if failing.epoch:
            poisoned.data.fill_(torch.nan)

    graphs.spoil = poison
    train([failing, healthy], RecordedStep(PlainStep(batches, frozen), graphs), batches, lambda student, is_best: None)
    assert isinstance(failing.failure, WatchdogStop)
    assert "the term ce" in failing.failure.what
    assert failing.epoch == 1
    assert (healthy.failure, healthy.epoch) == (None, RECIPE.epochs)
    alone = student("logit", frozen)
    train([alone], PlainStep(batches, frozen), batches, lambda student, is_best: None)
    assert_same(healthy, alone)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_on_a_gpu_all_methods_together_get_the_bits_each_has_alone(
    dtype: torch.dtype, teacher: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu = torch.device("cuda")
    make_deterministic()
    torch.manual_seed(1)
    network = freeze(place(build("ResNetBaby", 10), gpu).eval(), dtype, fold=True)
    batches = loader(teacher, device=gpu)
    together = [student(method, network, dtype, gpu) for method in METHODS]
    train(together, RecordedStep(PlainStep(batches, network), CudaGraphs()), batches, lambda student, is_best: None)
    assert "cannot be recorded" not in capsys.readouterr().err
    for beside in together:
        alone = student(beside.experiment.method, network, dtype, gpu)
        train([alone], PlainStep(batches, network), batches, lambda student, is_best: None)
        assert_same(beside, alone)
