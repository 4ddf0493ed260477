"""The methods as a trainer meets them: built alike, terms made of the right taps, modules frozen or trained."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_core.method_listing import TermProbe, describe, probe
from kd_core.methods import METHODS
from kd_core.methods.base import Items, Method, untrained
from kd_core.methods.factor_transfer import FactorTransfer, Paraphraser, factor_loss, reconstruction_loss
from kd_core.methods.fitnets import FitNets
from kd_core.networks import build
from kd_core.networks.base import Outputs, Widths
from kd_hpc import catalogue
from kd_hpc.errors import TrainingError, UsageError
from tests.core import oracles

STUDENT = Widths(4, 6, 8, 5)
TEACHER = Widths(3, 7, 10, 5)
every_method = pytest.mark.parametrize("name", METHODS)


def ready(name: str, student: Widths = STUDENT, teacher: Widths = TEACHER) -> Method:
    torch.manual_seed(0)
    method = METHODS[name].build(student=student, teacher=teacher, temperature=4.0)
    method.prepare(untrained)
    return method


def outputs(widths: Widths, seed: int, dtype: torch.dtype = torch.float32) -> Outputs:
    """Outputs of a batch of 5, as of a network fed with 16 x 16 images."""
    generator = torch.Generator().manual_seed(seed)
    maps = [torch.randn(5, c, s, s, generator=generator).relu() for c, s in zip(widths, (16, 8, 4), strict=False)]
    logits = torch.randn(5, widths.logits, generator=generator)
    return Outputs(*(values.to(dtype) for values in (*maps, logits)))


def items(count: int = 5, epoch: int = 7) -> Items:
    return Items(torch.arange(count) % STUDENT.logits, torch.arange(count) + 40, torch.tensor(epoch))


def leaves(values: Outputs) -> Outputs:
    return Outputs(*(value.clone().requires_grad_() for value in values))


def total(terms: Mapping[str, Tensor]) -> Tensor:
    return torch.stack(list(terms.values())).sum()


# All methods


def test_methods_are_those_of_the_catalogue() -> None:
    assert set(METHODS) == set(catalogue.METHODS)
    assert all(method.name == name for name, method in METHODS.items())


@every_method
def test_terms_are_float32_scalars_named_as_their_weights(name: str) -> None:
    terms = ready(name).terms_of(outputs(STUDENT, 1), outputs(TEACHER, 2), items())
    assert set(terms) == set(METHODS[name].weights)
    assert all(term.dtype == torch.float32 and term.shape == () for term in terms.values())


@every_method
def test_no_gradient_reaches_the_teacher(name: str) -> None:
    student, teacher, method = leaves(outputs(STUDENT, 1)), leaves(outputs(TEACHER, 2)), ready(name)
    total(method.terms_of(student, teacher, items())).backward()
    assert all(value.grad is None for value in teacher)


TAPS = {
    "logit": {"logits"},
    "factor_transfer": {"layer3"},
    "attention_transfer": {"layer1", "layer2", "layer3"},
    "fitnets": {"layer1"},
    "rkd": {"layer3"},
    "nst": {"layer1", "layer2", "layer3"},
    "dkd": {"logits"},
    "dist": {"logits"},
    "sp": {"layer3"},
}


@pytest.mark.parametrize("name", TAPS)
def test_gradient_reaches_just_the_taps_of_the_definition(name: str) -> None:
    student, method = leaves(outputs(STUDENT, 1)), ready(name)
    total(method.terms_of(student, outputs(TEACHER, 2), items())).backward()
    reached = {tap for tap, value in student._asdict().items() if value.grad is not None and value.grad.any()}
    assert reached == TAPS[name]


@every_method
def test_every_trained_parameter_gets_a_gradient(name: str) -> None:
    method = ready(name)
    total(method.terms_of(leaves(outputs(STUDENT, 1)), outputs(TEACHER, 2), items())).backward()
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in trained)
    assert name not in TAPS or bool(trained) == (name in {"fitnets", "factor_transfer"})


@every_method
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_terms_under_autocast_are_those_outside(name: str, dtype: torch.dtype) -> None:
    method, student, teacher = ready(name), outputs(STUDENT, 1, dtype), outputs(TEACHER, 2, dtype)
    outside = method.terms_of(student, teacher, items())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = method.terms_of(student, teacher, items())
    assert all(torch.equal(inside[term], outside[term]) for term in outside)
    student, teacher = (Outputs(*(value.float() for value in side)) for side in (student, teacher))
    plain = method.terms_of(student, teacher, items())
    assert all(torch.equal(plain[term], outside[term]) for term in outside)


@every_method
def test_a_batch_of_one_is_finite(name: str) -> None:
    student = leaves(Outputs(*(value[:1] for value in outputs(STUDENT, 1))))
    loss = total(ready(name).terms_of(student, Outputs(*(value[:1] for value in outputs(TEACHER, 2))), items(1)))
    loss.backward()
    assert loss.isfinite()
    assert all(value.grad is None or value.grad.isfinite().all() for value in student)


@every_method
def test_a_dead_student_gets_finite_gradients(name: str) -> None:
    student = leaves(Outputs(*(torch.zeros_like(value) for value in outputs(STUDENT, 1))))
    loss = total(ready(name).terms_of(student, outputs(TEACHER, 2), items()))
    loss.backward()
    assert loss.isfinite()
    assert all(value.grad is None or value.grad.isfinite().all() for value in student)


@every_method
def test_the_same_seed_builds_the_same_method(name: str) -> None:
    first, second = ready(name).state_dict(), ready(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@every_method
def test_only_factor_transfer_asks_for_a_first_stage(name: str) -> None:
    asked = []

    def stage(name: str, make: Callable[[], nn.Module], loss: object) -> Mapping[str, Tensor]:
        asked.append(name)
        return make().state_dict()

    method = METHODS[name].build(student=STUDENT, teacher=TEACHER, temperature=4.0)
    method.prepare(stage)
    assert asked == (["paraphraser"] if name == "factor_transfer" else [])


@pytest.mark.parametrize(("student", "teacher"), [("ResNetBaby", "ResNet20")])
@every_method
def test_works_on_real_networks_and_small_images(name: str, student: str, teacher: str) -> None:
    torch.manual_seed(0)
    small, large = build(student, 10), build(teacher, 10).eval()
    images = torch.randn(3, 3, 8, 8)
    terms = ready(name, small.widths, large.widths).terms_of(small(images), large(images), items(3))
    total(terms).backward()
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in small.parameters())


@pytest.mark.parametrize("name", ["logit", "dkd", "dist"])
def test_a_temperature_of_zero_is_refused_when_a_method_is_built(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} cannot soften with temperature 0"):
        METHODS[name].build(student=STUDENT, teacher=TEACHER, temperature=0)


# What a method may ask for


class _Asking(Method):
    name, definition, source = "asking", "what it was given", "a test"
    asks = ("labels", "indices", "epoch")
    weights: ClassVar[Mapping[str, float]] = {}

    def terms(
        self, student: Outputs, teacher: Outputs, *, labels: Tensor, indices: Tensor, epoch: Tensor
    ) -> dict[str, Tensor]:
        return {"labels": labels, "indices": indices, "epoch": epoch}


def test_a_method_is_given_what_it_asks_for() -> None:
    given, wanted = _Asking().terms_of(outputs(STUDENT, 1), outputs(TEACHER, 2), items(epoch=3)), items(epoch=3)
    assert all(torch.equal(given[name], getattr(wanted, name)) for name in _Asking.asks)


def test_asking_for_what_no_batch_has_is_refused_by_name() -> None:
    with pytest.raises(
        UsageError, match=r"greedy asks for weather, which no batch has. There are labels, indices, epoch"
    ):
        type("Greedy", (_Asking,), {"name": "greedy", "asks": ("labels", "weather")})


def test_decoupled_distillation_grows_over_its_first_twenty_epochs() -> None:
    method, student, teacher = ready("dkd"), outputs(STUDENT, 1), outputs(TEACHER, 2)
    at = [method.terms_of(student, teacher, items(epoch=epoch)) for epoch in (0, 9, 19, 20, 150)]
    for term in ("target", "others"):
        whole = at[2][term].item()
        found = [terms[term].item() / whole for terms in at]
        assert found == pytest.approx([1 / 20, 1 / 2, 1, 1, 1])


# What each term is made of, against the oracles


def test_logit_reads_the_logits() -> None:
    student, teacher = outputs(STUDENT, 1), outputs(TEACHER, 2)
    expected = oracles.logit(student.logits, teacher.logits, 4.0)
    assert ready("logit").terms(student, teacher)["kl"].item() == pytest.approx(expected, rel=1e-5)


def test_dkd_and_dist_read_the_logits_and_sp_layer3() -> None:
    student, teacher, given = outputs(STUDENT, 1), outputs(TEACHER, 2), items(epoch=20)
    logits, labels = (student.logits, teacher.logits), given.labels.tolist()
    expected = {
        ("dkd", "target"): oracles.dkd_target(*logits, labels, 4.0),
        ("dkd", "others"): oracles.dkd_others(*logits, labels, 4.0),
        ("dist", "inter"): oracles.dist_inter(*logits, 4.0),
        ("dist", "intra"): oracles.dist_intra(*logits, 4.0),
        ("sp", "similarity"): oracles.similarity(student.layer3, teacher.layer3),
    }
    for (name, term), value in expected.items():
        assert ready(name).terms_of(student, teacher, given)[term].item() == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "term", "oracle"), [("attention_transfer", "attention", oracles.attention), ("nst", "nst", oracles.nst)]
)
def test_term_is_the_mean_over_three_layers(name: str, term: str, oracle: Callable[[Tensor, Tensor], float]) -> None:
    student, teacher = outputs(STUDENT, 1), outputs(TEACHER, 2)
    expected = sum(oracle(s, t) for s, t in zip(student.features, teacher.features, strict=True)) / 3
    assert ready(name).terms(student, teacher)[term].item() == pytest.approx(expected, rel=1e-5)


def test_rkd_embeds_by_the_mean_over_space_of_layer3() -> None:
    student, teacher = outputs(STUDENT, 1), outputs(TEACHER, 2)
    rows = [values.layer3.double().mean((2, 3)) for values in (student, teacher)]
    terms = ready("rkd").terms(student, teacher)
    assert terms["distance"].item() == pytest.approx(oracles.rkd_distance(*rows), rel=1e-5)
    assert terms["angle"].item() == pytest.approx(oracles.rkd_angle(*rows), rel=1e-5)


def test_fitnets_regresses_layer1_onto_layer2_wherever_it_pools() -> None:
    method, student, teacher = ready("fitnets"), outputs(STUDENT, 1), outputs(TEACHER, 2)
    assert isinstance(method, FitNets)
    pooled_after = functional.avg_pool2d(method.regressor(student.layer1), 2)
    expected = oracles.hint(pooled_after.detach(), teacher.layer2)
    assert method.terms(student, teacher)["hint"].item() == pytest.approx(expected, rel=1e-5)


def test_factor_transfer_compares_translated_student_and_encoded_teacher(factor_transfer: FactorTransfer) -> None:
    student, teacher = outputs(STUDENT, 1), outputs(TEACHER, 2)
    factors = factor_transfer.translator(student.layer3), factor_transfer.paraphraser(teacher.layer3)[0]
    expected = oracles.factor(*(factor.detach() for factor in factors))
    assert factor_transfer.terms(student, teacher)["factor"].item() == pytest.approx(expected, rel=1e-5)


def test_factor_loss_is_not_attention_transfer_on_factors() -> None:
    # Moving activity between channels at each place leaves the attention of a factor as it is.
    factor = torch.rand(2, 4, 3, 3)
    assert factor_loss(factor.flip(1), factor).item() > 1e-3


# The paraphraser


@pytest.fixture
def factor_transfer() -> FactorTransfer:
    method = ready("factor_transfer")
    assert isinstance(method, FactorTransfer)
    return method


def test_a_paraphraser_halves_the_channels_and_restores_them() -> None:
    factor, reconstruction = Paraphraser(64)(torch.randn(2, 64, 8, 8))
    assert factor.shape == (2, 32, 8, 8)
    assert reconstruction.shape == (2, 64, 8, 8)


def test_a_paraphraser_can_learn_to_reconstruct() -> None:
    torch.manual_seed(0)
    paraphraser, feature = Paraphraser(4), torch.rand(8, 4, 4, 4)
    weights = list(paraphraser.parameters())
    losses = []
    for _ in range(40):
        loss = reconstruction_loss(paraphraser(feature)[1], feature)
        with torch.no_grad():
            for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                weight.sub_(gradient, alpha=0.5)
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3


def test_no_batch_norm_anywhere_in_factor_transfer(factor_transfer: FactorTransfer) -> None:
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in factor_transfer.modules())


def test_paraphraser_stays_in_eval_mode_when_its_container_trains(factor_transfer: FactorTransfer) -> None:
    container = nn.ModuleDict({"method": factor_transfer, "student": build("ResNetBaby", 5)})
    container.train()
    assert factor_transfer.training
    assert factor_transfer.translator.training
    assert not any(module.training for module in factor_transfer.paraphraser.modules())


def test_paraphraser_is_not_moved_by_the_students_optimizer(factor_transfer: FactorTransfer) -> None:
    before = copy.deepcopy(factor_transfer.state_dict())
    optimizer = torch.optim.SGD(factor_transfer.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for seed in range(3):
        optimizer.zero_grad()
        factor_transfer.terms(outputs(STUDENT, seed), outputs(TEACHER, seed + 9))["factor"].backward()
        optimizer.step()
    moved = {key.split(".")[0] for key, value in factor_transfer.state_dict().items() if not before[key].equal(value)}
    assert moved == {"translator"}


def test_an_untrained_paraphraser_is_refused() -> None:
    method = METHODS["factor_transfer"].build(student=STUDENT, teacher=TEACHER, temperature=4.0)
    with pytest.raises(TrainingError, match=r"no trained paraphraser.*Call prepare with a first stage"):
        method.terms(outputs(STUDENT, 1), outputs(TEACHER, 2))


def test_loaded_weights_are_those_the_teacher_is_encoded_with(factor_transfer: FactorTransfer) -> None:
    trained = Paraphraser(TEACHER.layer3)
    factor_transfer.prepare(lambda name, make, loss: trained.state_dict())
    feature = outputs(TEACHER, 2).layer3
    assert torch.equal(factor_transfer.paraphraser(feature)[0], trained(feature)[0])


# The listing


def test_describe_tells_every_method_with_its_weights_and_what_it_trains() -> None:
    facts = {method.name: method for method in describe()}
    assert list(facts) == list(METHODS)
    assert all(facts[name].weights == METHODS[name].weights for name in METHODS)
    assert all(facts[name].definition and facts[name].source for name in METHODS)
    assert facts["fitnets"].trained == 16 * 32 + 32
    assert facts["factor_transfer"].trained == 9 * (64 * 64 + 64 * 32 + 32 * 32) + 64 + 32 + 32
    assert [name for name in facts if facts[name].first_stage] == ["factor_transfer"]
    assert facts["rkd"].trained == 0


@pytest.fixture(scope="module")
def rows() -> list[TermProbe]:
    return probe(student="ResNetBaby", teacher="ResNet20", batch_size=8, seed=3)


def test_probe_measures_every_term_of_every_method(rows: list[TermProbe]) -> None:
    assert {(row.method, row.term) for row in rows} == {(n, term) for n, m in METHODS.items() for term in m.weights}
    assert all(row.value > 0 and row.gradient_ratio > 0 for row in rows)
    assert all(row.weighted_gradient_ratio == row.weight * row.gradient_ratio for row in rows)


def test_probe_repeats_itself_and_leaves_the_generator_alone(rows: list[TermProbe]) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    again = probe(student="ResNetBaby", teacher="ResNet20", batch_size=8, seed=3)
    assert torch.equal(torch.rand(3), expected)
    assert again == rows
    assert probe(student="ResNetBaby", teacher="ResNet20", batch_size=8, seed=4) != rows


def test_probe_ratio_is_a_students_gradient_norm_over_cross_entropys(rows: list[TermProbe]) -> None:
    torch.manual_seed(3)
    images, labels = torch.randn(8, 3, 32, 32), torch.randint(10, (8,))
    student, teacher = build("ResNetBaby", 10), build("ResNet20", 10)
    teacher.train()
    values = student(images)

    def norm(loss: Tensor) -> float:
        student.zero_grad()
        loss.backward(retain_graph=True)
        gradients = [weight.grad.flatten() for weight in student.parameters() if weight.grad is not None]
        return float(torch.cat(gradients).norm())

    # In train mode the teacher sees this batch's own statistics, which is what the probe settles it on.
    target = teacher(images).logits.detach()
    kl = 16 * functional.kl_div((values.logits / 4).log_softmax(1), (target / 4).softmax(1), reduction="batchmean")
    expected = norm(kl) / norm(functional.cross_entropy(values.logits, labels))
    (row,) = (row for row in rows if row.method == "logit")
    assert row.gradient_ratio == pytest.approx(expected, rel=0.02)


def test_probe_puts_rkd_within_reach_of_the_label() -> None:
    # Weights 25 and 50 put the relational terms at 20 times cross-entropy and the student learns nothing.
    pull = sum(
        row.weighted_gradient_ratio for row in probe(student="ResNet20", teacher="ResNet56") if row.method == "rkd"
    )
    assert 0.1 < pull < 2
