"""A recorded step changes what a plain step changes, bit for bit, or it is not used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kd_core.bench import Setting, random_images
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
from kd_core.training.step import PlainStep, RecordedStep, Recorder, choose_step
from kd_core.training.student import Student
from kd_hpc.catalogue import DATASETS
from kd_hpc.errors import TrainingError, WatchdogStop
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from kd_hpc.variant import split_arm
from tests.core.emulated_graphs import EmulatedGraphs

CPU = torch.device("cpu")
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
ARMS = [*METHODS, "logit+shuffled"]
RECIPE = Recipe(epochs=2, batch_size=16, watchdog_skips=20)


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    torch.manual_seed(1)
    return freeze(build("ResNetBaby", 10), torch.float32, fold=True)


def loader(teacher: Path, augment: str = "auto", kind: str = "device", device: torch.device = CPU) -> Loader:
    """An epoch of three steps: the first, a second of the same size, a smaller last one."""
    whole = load_dataset(teacher / "data", "Digits")
    train, test = (Split(split.images[:40], split.labels[:40]) for split in (whole.train, whole.test))
    few = whole._replace(train=train, test=test)
    return make_loader(kind, few, seed=0, batch_size=RECIPE.batch_size, augment=augment, device=device)


def student(arm: str, frozen: Frozen, dtype: torch.dtype = torch.float32, device: torch.device = CPU) -> Student:
    method, variant = split_arm(arm)
    experiment = Experiment(
        dataset="Digits",
        method=method,
        alpha=0.5,
        teacher="ResNetBaby",
        student="ResNetBaby",
        seed=0,
        variant=variant,
    )
    torch.manual_seed(2)
    return Student(experiment, RECIPE, frozen, device, dtype, untrained)


def outcome(of: Student) -> dict[str, object]:
    curves = {name: values for name, values in of.curves.data.items() if name not in ("seconds", "students")}
    tensors = {name: value.clone() for name, value in of.tensors.items()}
    told = repr(curves)  # in which the norm of a gradient that overflowed, no number, equals itself
    return {"curves": told, "watchdog": of.updater.state_dict()["watchdog"], **tensors}


def assert_same(left: Student, right: Student) -> None:
    ours, theirs = outcome(left), outcome(right)
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, theirs[name]), name  # type: ignore[arg-type]
        else:
            assert value == theirs[name], name


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_trains_to_the_same_bits_recorded_and_plain(
    arm: str, dtype: torch.dtype, teacher: Path, frozen: Frozen
) -> None:
    batches, graphs = loader(teacher), EmulatedGraphs()
    recorded, plain = student(arm, frozen, dtype), student(arm, frozen, dtype)
    train([plain], PlainStep(batches, frozen), batches, lambda student, is_best: None)
    train([recorded], RecordedStep(PlainStep(batches, frozen), graphs), batches, lambda student, is_best: None)
    assert recorded.failure is None
    assert_same(recorded, plain)
    assert graphs.recorded == 2  # one size of batch, and the smaller last one
    assert graphs.replayed == RECIPE.epochs * (batches.steps - 1)  # an epoch's first step is plain


@pytest.mark.parametrize(
    ("kind", "device", "records"), [("fast", "cuda", True), ("plain", "cuda", False), ("fast", "cpu", False)]
)
def test_the_fast_step_is_recorded_on_a_gpu_and_nowhere_else(
    kind: str, device: str, records: bool, teacher: Path, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kd_core.training.step.CudaGraphs", EmulatedGraphs)
    batches, here = loader(teacher), student("logit", frozen)
    chosen = choose_step(kind, batches, frozen, torch.device(device))
    assert isinstance(chosen, RecordedStep if records else PlainStep)
    train([here], chosen, batches, lambda student, is_best: None)
    assert here.failure is None


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
    together = [student(arm, frozen) for arm in ARMS]
    train(together, RecordedStep(PlainStep(batches, frozen), graphs), batches, lambda student, is_best: None)
    assert graphs.replayed
    for beside in together:
        alone = student(beside.experiment.arm, frozen)
        train([alone], PlainStep(batches, frozen), batches, lambda student, is_best: None)
        assert_same(beside, alone)


def test_a_recording_that_gives_other_bits_is_refused_and_said_so(
    teacher: Path, frozen: Frozen, capsys: pytest.CaptureFixture[str]
) -> None:
    batches = loader(teacher)
    recorded, plain = student("rkd", frozen), student("rkd", frozen)
    velocity = recorded.tensors["velocity of linear.bias"]

    def spoil() -> None:  # what nothing but itself depends on before the next step
        velocity.copy_(velocity + 1e-6)

    graphs = EmulatedGraphs(spoil)
    train([recorded], RecordedStep(PlainStep(batches, frozen), graphs), batches, lambda student, is_best: None)
    train([plain], PlainStep(batches, frozen), batches, lambda student, is_best: None)
    assert_same(recorded, plain)
    assert graphs.replayed == 1
    told = capsys.readouterr().err
    assert "it does not give the same bits: linear.bias of Digits/rkd/alpha_0.5/" in told
    assert "and 1 others" in told, "its velocity"


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


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_recording_refused_inside_the_optimizer_leaves_no_trace(
    dtype: torch.dtype, teacher: Path, frozen: Frozen
) -> None:
    """The scaler has told the optimizer its scale by then; told twice, the next step would divide twice."""
    batches, graphs = loader(teacher), EmulatedGraphs(forbidden=("_fused_sgd_",))
    recorded, plain = student("logit", frozen, dtype), student("logit", frozen, dtype)
    train([plain], PlainStep(batches, frozen), batches, lambda student, is_best: None)
    train([recorded], RecordedStep(PlainStep(batches, frozen), graphs), batches, lambda student, is_best: None)
    assert not graphs.recorded
    assert_same(recorded, plain)


def test_a_student_that_fails_where_a_step_is_to_be_recorded_ends_alone(
    teacher: Path, frozen: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, graphs = loader(teacher), EmulatedGraphs()
    failing, healthy, alone = student("rkd", frozen), student("logit", frozen), student("logit", frozen)
    step = failing.step

    def fail_unless_first(*words: Any) -> None:
        if not failing.begins_epoch:
            raise TrainingError("It fails.")
        step(*words)

    monkeypatch.setattr(failing, "step", fail_unless_first)
    train([failing, healthy], RecordedStep(PlainStep(batches, frozen), graphs), batches, lambda student, is_best: None)
    train([alone], PlainStep(batches, frozen), batches, lambda student, is_best: None)
    assert isinstance(failing.failure, TrainingError)
    assert graphs.recorded, "without it"
    assert_same(healthy, alone)


def test_a_parameter_that_no_loss_depends_on_is_refused_by_name(teacher: Path, frozen: Frozen) -> None:
    batches, at_fault = loader(teacher), student("rkd", frozen)
    idle = torch.nn.Parameter(torch.ones(3))
    at_fault.updater.parameters["spare.weight"] = idle
    at_fault.updater.optimizer.parameters.append(idle)
    train([at_fault], PlainStep(batches, frozen), batches, lambda student, is_best: None)
    assert isinstance(at_fault.failure, TrainingError)
    assert "does not depend on spare.weight," in at_fault.failure.what


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


def assert_together_and_recorded_is_alone_and_plain(
    device: torch.device, recorder: Recorder, dtype: torch.dtype, dataset: str, batch: int, network: str
) -> None:
    """All methods together and recorded, on random images, against each alone and plain."""
    facts = DATASETS[dataset]
    random = random_images(Setting(dataset=dataset, batch_size=batch))
    batches = make_loader("device", random, seed=0, batch_size=batch, augment="auto", device=device)
    torch.manual_seed(1)
    frozen = freeze(place(build(network, facts.classes), device).eval(), dtype, fold=True)

    def make(method: str) -> Student:
        experiment = Experiment(dataset=dataset, method=method, alpha=0.5, teacher=network, student=network, seed=0)
        torch.manual_seed(2)
        return Student(experiment, RECIPE, frozen, device, dtype, untrained)

    together = [make(method) for method in METHODS]
    train(together, RecordedStep(PlainStep(batches, frozen), recorder), batches, lambda student, is_best: None)
    for beside in together:
        alone = make(beside.experiment.method)
        train([alone], PlainStep(batches, frozen), batches, lambda student, is_best: None)
        assert_same(beside, alone)


def test_a_recorded_step_at_64_pixels_has_the_bits_of_the_plain_one(capsys: pytest.CaptureFixture[str]) -> None:
    graphs = EmulatedGraphs()
    assert_together_and_recorded_is_alone_and_plain(CPU, graphs, torch.float32, "TinyImageNet", 3, "ResNetBaby")
    assert graphs.replayed
    assert "cannot be recorded" not in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
@pytest.mark.parametrize(("dataset", "batch"), [("Cifar10", 128), ("Cifar10", 80), ("TinyImageNet", 128)])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_on_a_gpu_all_methods_together_get_the_bits_each_has_alone(
    dtype: torch.dtype, dataset: str, batch: int, capsys: pytest.CaptureFixture[str]
) -> None:
    make_deterministic()
    assert_together_and_recorded_is_alone_and_plain(
        torch.device("cuda"), CudaGraphs(), dtype, dataset, batch, "ResNet20"
    )
    assert "cannot be recorded" not in capsys.readouterr().err


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_on_a_gpu_a_step_that_cannot_be_recorded_says_why_and_leaves_the_gpu_as_it_was(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One method reads a value, which makes the host wait; afterwards another recording works."""
    make_deterministic()
    gpu, before = torch.device("cuda"), torch.cuda.current_stream()
    terms = METHODS["logit"].terms

    def reading(*words: Any) -> Any:
        return words[1].logits.detach().sum().item(), terms(*words)

    with monkeypatch.context() as patch:
        patch.setattr(METHODS["logit"], "terms", lambda *words: reading(*words)[1])
        assert_together_and_recorded_is_alone_and_plain(gpu, CudaGraphs(), dtype, "Cifar10", 80, "ResNetBaby")
        told = capsys.readouterr().err
        assert "cannot be recorded" in told
        assert "previous error" not in told, "the second error hides the first"
    assert torch.cuda.current_stream() == before
    assert_together_and_recorded_is_alone_and_plain(gpu, CudaGraphs(), dtype, "Cifar10", 80, "ResNetBaby")
    assert "cannot be recorded" not in capsys.readouterr().err
