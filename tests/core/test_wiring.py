"""What a recipe, a seed, a method and a checkpoint promise reaches the training: one named test a promise.

tests/core/test_reference.py shows that all of it together comes to what plain torch comes to; these say what broke.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_core.data.images import load_dataset
from kd_core.data.loaders import Batch, Loader, make_loader
from kd_core.methods import METHODS
from kd_core.methods.base import Items, untrained
from kd_core.networks import build
from kd_core.networks.base import Outputs
from kd_core.run import Request, surroundings
from kd_core.teacher.frozen import FoldedNetwork, Frozen, PlainNetwork, freeze
from kd_core.training.epoch_meter import EpochMeter
from kd_core.training.evaluate import Score, evaluate
from kd_core.training.loop import train
from kd_core.training.step import PlainStep
from kd_core.training.student import Student, new_student
from kd_core.training.update import Updater
from kd_hpc.claim import JobIdentity
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe
from kd_hpc.store import Store
from tests.core.processes import run, start
from tests.core.reference.images import seed_from
from tests.core.runs import arguments, directory, place, status
from tests.core.stages import few, remember, stage

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=3, batch_size=64)


@pytest.fixture(scope="module")
def frozen() -> Frozen:
    torch.manual_seed(1)
    return freeze(build("ResNetBaby", 10), torch.float32, fold=True)


@pytest.fixture
def loader(teacher: Path) -> Loader:
    return few(teacher)


def student(
    method: str, frozen: Frozen | None, recipe: Recipe = RECIPE, seed: int = 0, dtype: torch.dtype = torch.float32
) -> Student:
    pair = {} if method == "pure" else {"teacher": "ResNetBaby", "alpha": 0.5, "method": method}
    experiment = Experiment.model_validate({"dataset": "Digits", "student": "ResNetBaby", "seed": seed, **pair})
    return Student(experiment, recipe, frozen if pair else None, CPU, dtype, untrained)


def take_steps(of: Student, loader: Loader, frozen: Frozen | None, count: int = 1) -> None:
    of.begin_epoch()
    step = PlainStep(loader, frozen)
    for _, inputs in zip(range(count), loader.draw(0), strict=False):
        step([of], inputs)


@torch.no_grad()
def terms(of: Student, frozen: Frozen | None, loader: Loader) -> dict[str, float]:
    batch = next(loader.train(0))
    outputs, items = of.model.eval()(batch.images), Items(batch.labels, batch.indices, torch.tensor(0))
    found = of.objective.terms(outputs, frozen(batch.images) if frozen else None, items)
    return {name: float(value) for name, value in found.items()}


def weights(of: Student) -> list[Tensor]:
    return [value.clone() for value in of.model.state_dict().values()]


def last_layer(of: Student) -> Tensor:
    weight: Tensor = of.model.state_dict()["linear.weight"]
    return weight.clone()


def all_equal(left: list[Tensor], right: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("method", ["pure", *METHODS])
def test_another_seed_starts_from_other_weights(method: str, frozen: Frozen) -> None:
    assert all_equal(weights(student(method, frozen)), weights(student(method, frozen)))
    assert not all_equal(weights(student(method, frozen)), weights(student(method, frozen, seed=1)))


@pytest.mark.parametrize("method", ["fitnets", "factor_transfer"])
def test_what_a_method_trains_is_seeded_and_trained(method: str, loader: Loader, frozen: Frozen) -> None:
    trained, again, other = (student(method, frozen, seed=seed) for seed in (0, 0, 1))
    modules = [found.objective.method for found in (trained, again, other)]
    before, same, others = ([p.clone() for p in m.parameters() if p.requires_grad] for m in modules if m)
    assert before
    assert all_equal(before, same)
    assert not any(torch.equal(a, b) for a, b in zip(before, others, strict=True))
    take_steps(trained, loader, frozen)
    assert modules[0]
    after = [parameter for parameter in modules[0].parameters() if parameter.requires_grad]
    assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_learning_rate_of_an_epoch_is_the_one_its_steps_take(loader: Loader, frozen: Frozen) -> None:
    recipes = [Recipe(epochs=3, batch_size=64, lr=lr, weight_decay=0.0) for lr in (0.1, 0.2)]
    small, large = (student("pure", None, recipe) for recipe in recipes)
    start = last_layer(small)
    for of in (small, large):
        take_steps(of, loader, None)
    moved = [last_layer(of) - start for of in (small, large)]
    torch.testing.assert_close(2 * moved[0], moved[1], rtol=1e-4, atol=1e-7)
    small.epoch = 1
    small.begin_epoch()
    assert small.updater.optimizer.lr == pytest.approx(0.075)
    assert float(small.updater.optimizer._rate) == pytest.approx(0.075)


def test_momentum_and_weight_decay_are_those_of_the_recipe(loader: Loader) -> None:
    plain, heavy, decayed = (
        student("pure", None, Recipe(batch_size=64, momentum=momentum, weight_decay=decay))
        for momentum, decay in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.1))
    )
    start = last_layer(plain)
    for of in (plain, heavy, decayed):
        take_steps(of, loader, None)
    assert torch.equal(last_layer(plain), last_layer(heavy)), "the first step has no momentum yet"
    torch.testing.assert_close(last_layer(plain) - last_layer(decayed), 0.1 * 0.1 * start, rtol=1e-3, atol=1e-7)
    take_steps(plain, loader, None, count=2)
    take_steps(heavy, loader, None, count=2)
    assert not torch.equal(last_layer(plain), last_layer(heavy))


def test_the_temperature_of_the_recipe_softens_the_logits(loader: Loader, frozen: Frozen) -> None:
    cold, warm = (terms(student("logit", frozen, Recipe(temperature=t)), frozen, loader)["kl"] for t in (1.0, 4.0))
    batch = next(loader.train(0))
    network = student("logit", frozen).model.eval()
    with torch.no_grad():
        s, t = (functional.log_softmax(ask(batch.images).logits, 1) for ask in (network, frozen))
    assert cold == pytest.approx(float((t.exp() * (t - s)).sum(1).mean()), rel=1e-4)
    assert warm != pytest.approx(cold, rel=1e-3)


def test_a_weight_of_the_recipe_weighs_its_term(loader: Loader, frozen: Frozen) -> None:
    plain = student("rkd", frozen)
    heavy = student("rkd", frozen, Recipe(weights={"rkd.angle": 7.0, "nst.nst": 3.0}))
    assert plain.objective.factors == {"ce": 0.5, "distance": 0.5, "angle": 1.0}
    assert heavy.objective.factors == {"ce": 0.5, "distance": 0.5, "angle": 3.5}
    found = {"ce": torch.tensor(1.0), "distance": torch.tensor(2.0), "angle": torch.tensor(3.0)}
    assert float(heavy.objective.total(found)) == 0.5 + 1.0 + 10.5


def test_labels_of_pure_runs_are_smoothed_as_the_recipe_says(loader: Loader, frozen: Frozen) -> None:
    recipe = Recipe(label_smoothing=0.3)
    batch = next(loader.train(0))
    with torch.no_grad():
        logits = student("pure", None).model.eval()(batch.images).logits
    for method, smoothing in (("pure", 0.3), ("rkd", 0.0)):
        expected = functional.cross_entropy(logits, batch.labels, label_smoothing=smoothing)
        found = terms(student(method, frozen, recipe), frozen if method != "pure" else None, loader)["ce"]
        assert found == pytest.approx(float(expected), rel=1e-5), method


def test_an_epochs_mean_counts_each_image_once() -> None:
    meter = EpochMeter(["loss"], CPU)
    logits = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    meter.add({"loss": torch.tensor(1.0)}, logits, torch.tensor([0, 1, 1]))
    meter.add({"loss": torch.tensor(5.0)}, logits[:1], torch.tensor([1]))
    assert meter.means() == {"loss": 2.0, "correct": 0.5}
    meter.clear()
    meter.add({"loss": torch.tensor(3.0)}, logits, torch.tensor([0, 0, 1]))
    assert meter.means() == {"loss": 3.0, "correct": 1.0}


def test_gradient_norms_are_free_of_the_scalers_scale(loader: Loader, frozen: Frozen) -> None:
    single, half = (student("logit", frozen, dtype=dtype) for dtype in (torch.float32, torch.float16))
    for of in (single, half):
        take_steps(of, loader, frozen)
    assert half.updater.scale > 1000
    assert half._norms.keys() == single._norms.keys() == {"ce", "kl"}
    for name, norm in single._norms.items():
        assert half._norms[name] == pytest.approx(norm, rel=0.1)


def test_a_gradient_too_large_for_the_scale_is_measured_at_a_smaller_one(loader: Loader, frozen: Frozen) -> None:
    single, half = (student("logit", frozen, dtype=dtype) for dtype in (torch.float32, torch.float16))
    half.updater.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)
    for of in (single, half):
        take_steps(of, loader, frozen)
    for name, norm in single._norms.items():
        assert half._norms[name] == pytest.approx(norm, rel=0.1)


def updated(dtype: torch.dtype, steps: int = 2) -> tuple[Updater, Tensor]:
    """After some steps down a slope of whole numbers, which a scale of a power of two changes in no bit."""
    weights = nn.Parameter(torch.arange(3.0))
    updater = Updater([("weights", weights)], Recipe(lr=0.5, weight_decay=0.25, momentum=0.5), CPU, dtype)
    for _ in range(steps):
        updater.apply((weights * torch.tensor([1.0, -2.0, 4.0])).sum())
        updater.require_health(list)
    return updater, weights.detach()


def test_a_scaled_step_is_the_unscaled_one() -> None:
    (half, found), (single, expected) = updated(torch.float16), updated(torch.float32)
    assert half.scale > single.scale == 1.0
    assert torch.equal(found, expected)
    assert half.watchdog.step == single.watchdog.step == 2


def test_a_renewed_scaler_goes_on_where_the_old_one_was() -> None:
    (renewed, weights), (expected, others) = updated(torch.float16), updated(torch.float16)
    renewed.scaler.update(128.0)  # type: ignore[union-attr]
    renewed.renew_scaler()
    assert renewed.scale == 128.0
    for updater, of in ((renewed, weights), (expected, others)):
        updater.apply(updater.parameters["weights"].square().sum())
        assert not torch.equal(of, torch.arange(3.0))
    assert torch.equal(renewed.parameters["weights"], expected.parameters["weights"])


def test_a_network_starts_from_its_name_and_the_seed() -> None:
    experiment = Experiment(dataset="Digits", student="ResNetBaby", seed=3)
    torch.manual_seed(seed_from("model", "ResNetBaby", 3))
    expected = build("ResNetBaby", 10).state_dict()
    found = new_student(experiment, 10).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_accuracies_are_in_percent(loader: Loader) -> None:
    of = student("pure", None)
    of.begin_epoch()
    batch = next(loader.train(0))
    of.meter.add(
        {"loss": torch.tensor(1.0), "ce": torch.tensor(1.0)}, functional.one_hot(batch.labels, 10).float(), batch.labels
    )
    of.end_epoch(Score(loss=1.0, accuracy=50.0), seconds=1.0, students=1)
    assert (of.curves.data["train_acc"], of.curves.data["test_acc"]) == ([100.0], [50.0])


def test_a_term_that_does_not_depend_on_the_student_has_no_gradient(loader: Loader, frozen: Frozen) -> None:
    of = student("logit", frozen)
    assert of._gradient_norms({"idle": torch.ones((), requires_grad=True)}) == {"idle": 0.0}


def test_a_resumed_scaler_goes_on_with_its_scale(frozen: Frozen) -> None:
    of, resumed = (student("logit", frozen, dtype=torch.float16) for _ in range(2))
    of.updater.scaler.load_state_dict({**of.updater.scaler.state_dict(), "scale": 256.0, "_growth_tracker": 7})  # type: ignore[union-attr]
    resumed.load_state_dict(of.state_dict())
    assert resumed.updater.scale == 256.0
    assert resumed.updater.state_dict()["scaler"]["_growth_tracker"] == 7


def test_a_student_leaves_the_global_generator_as_it_was(frozen: Frozen) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    student("fitnets", frozen)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("step", "kind"), [("fast", FoldedNetwork), ("plain", PlainNetwork)])
def test_the_fast_step_folds_its_teacher_and_the_plain_one_does_not(step: str, kind: type, teacher: Path) -> None:
    pair = {"teacher": "ResNetBaby", "student": "ResNetBaby"}
    experiment = Experiment(dataset="Digits", method="rkd", alpha=0.5, seed=0, **pair)
    recipe = Recipe.model_validate({"step": step})
    request = Request(Store(teacher / "experiments"), [experiment], recipe, teacher / "data", "cpu", JobIdentity())
    found = surroundings(request, []).teacher
    assert found
    assert type(found.network) is kind


def test_the_first_stage_trains_all_of_its_module(teacher: Path, frozen: Frozen, tmp_path: Path) -> None:
    method = METHODS["factor_transfer"].build(student=frozen.widths, teacher=frozen.widths, temperature=4.0)
    told: list[float] = []
    begun: list[Tensor] = []

    def watched(name: str, make: Callable[[], nn.Module], loss: Callable[[Any, Outputs], Tensor]) -> Mapping[str, Any]:
        with stage(teacher, frozen, tmp_path, told) as trained:
            return trained(name, lambda: remember(make(), begun), loss)

    method.prepare(watched)
    ended = list(method.get_submodule("paraphraser").parameters())
    assert len(begun) == len(ended) == 12
    assert not any(torch.equal(a, b) for a, b in zip(begun, ended, strict=True))
    assert told == sorted(told, reverse=True)


def test_each_epoch_of_the_first_stage_sees_other_batches(teacher: Path, frozen: Frozen, tmp_path: Path) -> None:
    asked: list[Tensor] = []

    class Watched:
        widths = frozen.widths

        def __call__(self, images: Tensor) -> Outputs:
            asked.append(images)
            return frozen(images)

    method = METHODS["factor_transfer"].build(student=frozen.widths, teacher=frozen.widths, temperature=4.0)
    with stage(teacher, Watched(), tmp_path, []) as trained:
        method.prepare(trained)
    first, second = asked[:3], asked[3:6]
    assert len(asked) == 9
    assert not torch.equal(first[0], second[0])
    students = [batch.images for batch in few(teacher).train(0)]
    assert not torch.equal(first[0], students[0]), "nor those of the student's first epoch"


def test_test_images_are_changed_as_the_augmentation_says(teacher: Path) -> None:
    plain, resized = few(teacher, "crop"), few(teacher, "resized-crop")
    before, after = next(plain.test()), next(resized.test())
    assert torch.equal(before.labels, after.labels)
    assert before.images.shape == after.images.shape
    assert not torch.equal(before.images, after.images)
    model = build("ResNetBaby", 10)
    assert evaluate(model, plain.test(), torch.float32) != evaluate(model, resized.test(), torch.float32)


WORSE_AND_WORSE = """
import kd_core.training.loop as loop
evaluate, seen = loop.evaluate, []
def falling(*words):
    seen.append(words)
    return evaluate(*words)._replace(accuracy=90.0 - len(seen))
loop.evaluate = falling
"""


def test_best_representations_are_of_the_best_weights(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    code, output = run(arguments(root, "pure", epochs=3, seed=1), root / "log", prelude=WORSE_AND_WORSE)
    assert code == 0, output
    assert status(root, "pure", 1)["best_epoch"] == 1
    folder = directory(root, "pure", 1)
    loader = make_loader(
        "device", load_dataset(root / "data", "Digits"), seed=0, batch_size=256, augment="auto", device=CPU
    )
    batch = Batch(*(torch.cat(parts) for parts in zip(*loader.test(), strict=True)))
    for file, representations in (("best", "representations_best"), ("last", "representations")):
        model = build("ResNetBaby", 10).eval()
        model.load_state_dict(torch.load(folder / f"{file}.pth", weights_only=True)["weights"])
        with torch.no_grad():
            logits = model(batch.images).logits.numpy()
        np.testing.assert_allclose(np.load(folder / f"{representations}.npz")["logits"], logits, rtol=1e-3, atol=1e-3)


FLAGS = """
import torch, kd_core.run as run
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = True, False
torch.utils.deterministic.fill_uninitialized_memory = True
choose = run.choose_device
def told(name):
    print("tf32", torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    print("cudnn", torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic)
    print("mode", torch.get_deterministic_debug_mode(), torch.utils.deterministic.fill_uninitialized_memory)
    print("workspace", __import__("os").environ.get("CUBLAS_WORKSPACE_CONFIG"))
    return choose(name)
run.choose_device = told
"""


def test_a_training_process_is_deterministic_and_float32_is_float32(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    code, output = run(arguments(root, "logit", epochs=1), root / "log", prelude=FLAGS)
    assert code == 0, output
    assert "tf32 False False\ncudnn False True\nmode 2 False\nworkspace :4096:8" in output
    assert status(root, "logit")["provenance"]["deterministic"] is True


DIES_AT_THE_END = """
import os, signal, kd_core.run_writer as writer
writer.RunWriter.complete = lambda self: os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_resumed_run_keeps_the_number_of_threads_it_began_with(teacher: Path, tmp_path: Path) -> None:
    root = place(teacher, tmp_path / "run")
    words = arguments(root, "logit", epochs=1)
    assert start(words, root / "log", prelude=DIES_AT_THE_END).wait() < 0
    assert status(root, "logit")["provenance"]["threads"] == 1
    code, output = run(words, root / "log", prelude="import torch; torch.set_num_threads(2)")
    assert code == 0, output
    assert status(root, "logit")["provenance"]["threads"] == 1


def test_curves_and_record_say_the_same_of_last_and_best(teacher: Path) -> None:
    (folder,) = teacher.glob("experiments/Digits/pure/ResNetBaby/0")
    record, curves = (json.loads((folder / name).read_text()) for name in ("status.json", "metrics.json"))
    assert record["acc_last"] == curves["test_acc"][-1]
    assert record["acc_best"] == max(curves["test_acc"]) == curves["test_acc"][record["best_epoch"] - 1]


def test_training_ends_after_the_epochs_of_the_recipe(loader: Loader, frozen: Frozen) -> None:
    of = student("rkd", frozen)
    train([of], PlainStep(loader, frozen), loader, lambda student, is_best: None)
    assert of.epoch == len(of.accuracies) == 3
    assert of.curves.data["lr"] == pytest.approx([0.1, 0.075, 0.025])
