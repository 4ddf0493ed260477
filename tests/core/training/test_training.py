"""The loop, its students and its watchdog."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from kd_core.data.images import load_dataset
from kd_core.data.loaders import DeviceLoader, make_loader
from kd_core.methods import METHODS
from kd_core.methods.base import Items, untrained
from kd_core.networks import build
from kd_core.teacher.frozen import Frozen, freeze
from kd_core.training.evaluate import evaluate
from kd_core.training.gradient_watchdog import GradientWatchdog, non_finite
from kd_core.training.loop import train
from kd_core.training.objective import Objective
from kd_core.training.optimizer import SGD
from kd_core.training.schedule import cosine, learning_rate
from kd_core.training.step import PlainStep
from kd_core.training.student import Student
from kd_hpc.errors import KdError, UsageError, WatchdogStop
from kd_hpc.experiment import Experiment
from kd_hpc.recipe import Recipe

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=2, batch_size=256)
WITHOUT_STAGE = ["logit", "attention_transfer", "fitnets", "rkd", "nst"]


@pytest.fixture
def loader(teacher: Path) -> DeviceLoader:
    dataset = load_dataset(teacher / "data", "Digits")
    made = make_loader("device", dataset, seed=0, batch_size=256, augment="auto", device=CPU)
    assert isinstance(made, DeviceLoader)
    return made


@pytest.fixture
def teacher_model() -> Frozen:
    torch.manual_seed(1)
    return freeze(build("ResNetBaby", 10), torch.float32, fold=True)


def distilled(method: str, alpha: float = 0.5) -> Experiment:
    return Experiment(dataset="Digits", method=method, alpha=alpha, teacher="ResNetBaby", student="ResNetBaby", seed=0)


def student(experiment: Experiment, teacher: Frozen | None, dtype: torch.dtype = torch.float32) -> Student:
    return Student(experiment, RECIPE, teacher, CPU, dtype)


def weights(of: Student) -> dict[str, torch.Tensor]:
    return dict(of.model.state_dict())


def test_students_side_by_side_end_with_the_bits_each_has_alone(loader: DeviceLoader, teacher_model: Frozen) -> None:
    together = [student(distilled(method), teacher_model) for method in ("logit", "fitnets", "attention_transfer")]
    train(together, PlainStep(loader, teacher_model), loader, lambda student, is_best: None)
    for beside in together:
        alone = student(beside.experiment, teacher_model)
        train([alone], PlainStep(loader, teacher_model), loader, lambda student, is_best: None)
        assert beside.failure is None
        for name, value in weights(alone).items():
            assert torch.equal(value, weights(beside)[name]), (beside.experiment.method, name)


def test_one_student_failing_stops_no_other(loader: DeviceLoader, teacher_model: Frozen) -> None:
    failing, healthy = student(distilled("rkd"), teacher_model), student(distilled("logit"), teacher_model)

    def fail(batch: object, targets: object) -> None:
        raise WatchdogStop("injected")

    failing.step = fail  # type: ignore[method-assign, assignment]
    told: list[tuple[str, int]] = []
    noted = lambda student, error: told.append((student.experiment.method, healthy.epoch))  # noqa: E731
    train([failing, healthy], PlainStep(loader, teacher_model), loader, lambda student, is_best: None, noted)
    assert told == [("rkd", 0)], "at once, and once"
    assert isinstance(failing.failure, WatchdogStop)
    assert failing.epoch == 0
    assert healthy.failure is None
    assert healthy.epoch == RECIPE.epochs


def test_students_resumed_one_epoch_apart_finish_level(loader: DeviceLoader, teacher_model: Frozen) -> None:
    ahead, behind = student(distilled("rkd"), teacher_model), student(distilled("logit"), teacher_model)
    ahead.epoch = 1
    ahead.curves.data["test_acc"].append(0.0)
    order: list[tuple[str, int]] = []
    train(
        [ahead, behind],
        PlainStep(loader, teacher_model),
        loader,
        lambda student, best: order.append((student.experiment.method, student.epoch)),
    )
    assert order == [("logit", 1), ("rkd", 2), ("logit", 2)]


def test_every_method_starts_the_student_from_the_same_weights(teacher_model: Frozen) -> None:
    pure = weights(student(Experiment(dataset="Digits", student="ResNetBaby", seed=0), None))
    for method in WITHOUT_STAGE:
        for name, value in weights(student(distilled(method), teacher_model)).items():
            assert torch.equal(value, pure[name])


def test_evaluation_builds_no_graph_changes_nothing_and_restores_the_mode(loader: DeviceLoader) -> None:
    model = build("ResNetBaby", 10).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    graphs: list[bool] = []
    model.register_forward_hook(lambda module, inputs, outputs: graphs.append(outputs.logits.requires_grad))
    score = evaluate(model, loader.test(), torch.float32)
    assert graphs
    assert not any(graphs)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    images = torch.cat([batch.images for batch in loader.test()])
    labels = torch.cat([batch.labels for batch in loader.test()])
    logits = model.eval()(images).logits.detach()
    assert score.accuracy == pytest.approx(100 * float((logits.argmax(1) == labels).float().mean()))
    assert score.loss == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-5)


def test_labels_are_smoothed_for_pure_runs_only() -> None:
    labels = torch.tensor([0, 3])
    items = Items(labels, torch.arange(2), torch.tensor(0))
    outputs = build("ResNetBaby", 10).eval()(torch.randn(2, 3, 8, 8))
    hard = torch.nn.functional.cross_entropy(outputs.logits, labels)
    soft = torch.nn.functional.cross_entropy(outputs.logits, labels, label_smoothing=0.1)
    widths = outputs.widths
    for method in METHODS.values():
        kind = method.build(student=widths, teacher=widths, temperature=4.0)
        kind.prepare(untrained)
        terms = Objective(kind, alpha=0.5, label_smoothing=0.1).terms(outputs, outputs, items)
        assert terms["ce"].item() == pytest.approx(hard.item())
    pure = Objective(label_smoothing=0.1).terms(outputs, None, items)
    assert pure["ce"].item() == pytest.approx(soft.item())


def test_the_objective_weighs_its_terms_by_alpha_and_weight() -> None:
    method = METHODS["rkd"].build(student=build("ResNetBaby", 10).widths, teacher=None, temperature=4.0)  # type: ignore[arg-type]
    objective = Objective(method, alpha=0.25, weights={"angle": 10.0})
    terms = {"ce": torch.tensor(1.0), "distance": torch.tensor(2.0), "angle": torch.tensor(3.0)}
    assert float(objective.total(terms)) == pytest.approx(0.75 * 1 + 0.25 * (1 * 2 + 10 * 3))


def test_sgd_takes_the_steps_that_torch_optim_takes() -> None:
    torch.manual_seed(0)
    ours, theirs = build("ResNetBaby", 10), build("ResNetBaby", 10)
    theirs.load_state_dict(ours.state_dict())
    mine = SGD(ours.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    mine.found_inf = torch.tensor(0.0)
    reference = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for _ in range(5):
        images, labels = torch.randn(16, 3, 8, 8), torch.randint(10, (16,))
        for model, optimizer in ((ours, mine), (theirs, reference)):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images).logits, labels).backward()
            optimizer.step()
    for left, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6)


def test_an_update_with_a_non_finite_gradient_changes_no_bit() -> None:
    parameter = torch.ones(3, requires_grad=True)
    optimizer = SGD([parameter], lr=0.1, momentum=0.9, weight_decay=5e-4)
    parameter.grad = torch.tensor([1.0, math.nan, 1.0])
    optimizer.found_inf = non_finite(optimizer.gradients)
    optimizer.step()
    assert optimizer.skipped == 1
    assert torch.equal(parameter, torch.ones(3))
    assert torch.equal(optimizer.velocity[0], torch.zeros(3))


def test_the_watchdog_trips_at_its_limit_in_a_row_and_not_before() -> None:
    bad, good = torch.tensor(1.0), torch.tensor(0.0)
    watchdog = GradientWatchdog(3, CPU)
    for found in (bad, bad, good, bad, bad):
        watchdog.saw(found)
    assert (watchdog.has_tripped, watchdog.take_skipped()) == (False, 4)
    watchdog.saw(bad)
    assert (watchdog.has_tripped, watchdog.take_skipped()) == (True, 1)


def test_the_watchdog_remembers_a_row_across_a_resume() -> None:
    first, second = GradientWatchdog(3, CPU), GradientWatchdog(3, CPU)
    for _ in range(2):
        first.saw(torch.tensor(1.0))
    second.load_state_dict(first.state_dict())
    second.saw(torch.tensor(1.0))
    assert second.has_tripped


def test_a_gradient_scale_below_one_ends_the_run() -> None:
    with pytest.raises(WatchdogStop, match=r"scale fell to 0\.5"):
        GradientWatchdog(3, CPU).require_scale(0.5)


def test_a_gpu_is_asked_about_skipped_steps_only_so_often() -> None:
    watchdog = GradientWatchdog(3, torch.device("meta"))  # whose values cannot be read
    for watchdog.step in (1, 2, 4):
        assert not watchdog.has_tripped
    watchdog.step = 3
    with pytest.raises(Exception, match="meta"):
        bool(watchdog.has_tripped)


def test_terms_that_the_catalogue_does_not_name_are_refused(
    teacher_model: Frozen, monkeypatch: pytest.MonkeyPatch
) -> None:
    of, images = student(distilled("logit"), teacher_model), torch.randn(2, 3, 8, 8)
    outputs = of.model(images)
    items = Items(torch.zeros(2, dtype=torch.long), torch.arange(2), torch.tensor(0))
    monkeypatch.setattr(type(of.objective.method), "terms", lambda *pair: {"lk": outputs.logits.mean()})
    with pytest.raises(UsageError, match=r"^logit computes the terms lk, but the catalogue names kl\.") as refused:
        of.objective.terms(outputs, teacher_model(images), items)
    assert "with its weight" in refused.value.remedy
    of.objective.reweigh({})
    with pytest.raises(UsageError, match="but the catalogue names none"):
        of.objective.terms(outputs, teacher_model(images), items)


def test_the_learning_rate_is_half_a_cosine() -> None:
    assert cosine(0.1, 0, 150) == pytest.approx(0.1)
    assert cosine(0.1, 75, 150) == pytest.approx(0.05)
    assert cosine(0.1, 149, 150) < 2e-5


def test_the_learning_rate_falls_by_a_factor_after_each_milestone() -> None:
    recipe = Recipe(epochs=240, lr=0.05, schedule="multistep", milestones=(150, 180, 210))
    rates = [learning_rate(recipe, epoch) for epoch in range(240)]
    assert [(rates.index(rate) + 1, rate) for rate in sorted(set(rates), reverse=True)] == [
        (1, 0.05),
        (151, pytest.approx(0.005)),  # as the published code: lower once the epoch, counted from 1, exceeds 150
        (181, pytest.approx(0.0005)),
        (211, pytest.approx(0.00005)),
    ]


def test_a_sum_keeps_the_whole_of_cross_entropy() -> None:
    method = METHODS["rkd"].build(student=build("ResNetBaby", 10).widths, teacher=None, temperature=4.0)  # type: ignore[arg-type]
    added = Objective(method, alpha=0.5, adds=True)
    assert added.factors == {"ce": 1.0, "distance": 0.5, "angle": 1.0}


@pytest.mark.parametrize(("method", "share"), [("rkd", 1.0), ("logit", 0.5)])
def test_a_recipe_mixes_each_method_as_it_says(method: str, share: float, teacher_model: Frozen) -> None:
    recipe = Recipe(mix="sum", convex=("logit",))
    mixed = Student(distilled(method), recipe, teacher_model, CPU, torch.float32, untrained)
    assert mixed.objective.factors["ce"] == share


def test_errors_of_a_lane_are_only_expected_ones(loader: DeviceLoader, teacher_model: Frozen) -> None:
    broken = student(distilled("rkd"), teacher_model)

    def crash(batch: object, targets: object) -> None:
        raise ZeroDivisionError

    broken.step = crash  # type: ignore[method-assign, assignment]
    with pytest.raises(ZeroDivisionError):
        train([broken], PlainStep(loader, teacher_model), loader, lambda student, is_best: None)
    assert not issubclass(ZeroDivisionError, KdError)
