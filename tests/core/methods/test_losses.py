"""One table of losses, and every promise that all of them make, checked against each row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from kd_core.methods.attention_transfer import attention_loss
from kd_core.methods.base import ShapeMismatch, pool, unit
from kd_core.methods.dist import relation_losses
from kd_core.methods.dkd import decoupled_losses
from kd_core.methods.factor_transfer import factor_loss, reconstruction_loss
from kd_core.methods.fitnets import hint_loss
from kd_core.methods.logit import logit_loss
from kd_core.methods.nst import nst_loss
from kd_core.methods.rkd import angle_loss, distance_loss
from kd_core.methods.sp import similarity_loss
from kd_hpc.errors import KdError, UsageError
from tests.core import oracles

MAPS, ROWS, CLASSES = (4, 6, 6, 4), (7, 5), (6, 10)
DTYPES = [torch.float32, torch.float16, torch.bfloat16]


@dataclass(frozen=True)
class Case:
    """A loss of (student, teacher), its oracle, a shape it takes, and which axes must agree."""

    name: str
    loss: Callable[[Tensor, Tensor], Tensor]
    oracle: Callable[..., float]
    shape: tuple[int, ...]
    same: str

    def pair(self, seed: int = 0, scale: float = 1.0) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        student, teacher = (torch.randn(self.shape, generator=generator) * scale for _ in range(2))
        return student, teacher

    def gradient(self, student: Tensor, teacher: Tensor) -> Tensor:
        student = student.detach().clone().requires_grad_()
        self.loss(student, teacher).backward()
        assert student.grad is not None
        return student.grad


def _labels(of: Tensor) -> Tensor:
    """Of a batch with these logits, (B,)."""
    return torch.arange(len(of)) * 3 % of.shape[1]


CASES = {
    case.name: case
    for case in (
        Case("logit", lambda s, t: logit_loss(s, t, 4.0), lambda s, t: oracles.logit(s, t, 4.0), CLASSES, "BK"),
        Case("hint", hint_loss, oracles.hint, MAPS, "BC"),
        Case("attention", lambda s, t: attention_loss([s], [t]), oracles.attention, MAPS, "B"),
        Case("factor", factor_loss, oracles.factor, MAPS, "BC"),
        Case("nst", nst_loss, oracles.nst, MAPS, "B"),
        Case("rkd-distance", distance_loss, oracles.rkd_distance, ROWS, "B"),
        Case("rkd-angle", angle_loss, oracles.rkd_angle, ROWS, "B"),
        Case(
            "dkd-target",
            lambda s, t: decoupled_losses(s, t, _labels(s), 4.0)[0],
            lambda s, t: oracles.dkd_target(s, t, _labels(t).tolist(), 4.0),
            CLASSES,
            "BK",
        ),
        Case(
            "dkd-others",
            lambda s, t: decoupled_losses(s, t, _labels(s), 4.0)[1],
            lambda s, t: oracles.dkd_others(s, t, _labels(t).tolist(), 4.0),
            CLASSES,
            "BK",
        ),
        Case(
            "dist-inter",
            lambda s, t: relation_losses(s, t, 4.0)[0],
            lambda s, t: oracles.dist_inter(s, t, 4.0),
            CLASSES,
            "BK",
        ),
        Case(
            "dist-intra",
            lambda s, t: relation_losses(s, t, 4.0)[1],
            lambda s, t: oracles.dist_intra(s, t, 4.0),
            CLASSES,
            "BK",
        ),
        Case("similarity", similarity_loss, oracles.similarity, MAPS, "B"),
    )
}
every_loss = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
loss_of_maps = pytest.mark.parametrize("case", [c for c in CASES.values() if c.shape == MAPS], ids=lambda c: c.name)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def _assert_finite(case: Case, student: Tensor, teacher: Tensor) -> None:
    loss, gradient = case.loss(student, teacher), case.gradient(student, teacher)
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert gradient.dtype == student.dtype
    assert gradient.isfinite().all(), f"{(~gradient.isfinite()).sum()} of {gradient.numel()} are not finite"


# Agreement


@every_loss
@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_the_float64_oracle(case: Case, seed: int) -> None:
    student, teacher = case.pair(seed)
    assert case.loss(student, teacher).item() == pytest.approx(case.oracle(student, teacher), rel=1e-5)


@every_loss
def test_agrees_with_the_oracle_on_maps_like_those_after_a_relu(case: Case) -> None:
    student, teacher = (tensor.relu() * 3 for tensor in case.pair())
    assert case.loss(student, teacher).item() == pytest.approx(case.oracle(student, teacher), rel=1e-5)


@every_loss
def test_agrees_with_the_oracle_far_from_the_origin(case: Case) -> None:
    student, teacher = (tensor + 30 for tensor in case.pair())
    assert case.loss(student, teacher).item() == pytest.approx(case.oracle(student, teacher), rel=2e-4)


@pytest.mark.parametrize("name", ["rkd-distance", "rkd-angle"])
def test_relations_keep_their_precision_far_from_the_origin(name: str) -> None:
    case = CASES[name]
    student, teacher = (tensor.mul(2**10).round() / 2**10 for tensor in case.pair())
    far_student, far_teacher = student + 1000, teacher + 1000  # no bit is rounded off
    assert case.loss(far_student, far_teacher).item() == pytest.approx(case.oracle(student, teacher), rel=1e-5)
    near, far = case.gradient(student, teacher), case.gradient(far_student, far_teacher)
    np.testing.assert_allclose(far, near, rtol=1e-5, atol=1e-5 * near.abs().max().item())


@every_loss
@pytest.mark.parametrize("seed", range(2))
def test_gradient_agrees_with_central_differences_of_the_oracle(case: Case, seed: int) -> None:
    student, teacher = case.pair(seed)
    expected = oracles.gradient(lambda s: case.oracle(s, teacher), student)
    actual = case.gradient(student, teacher).numpy()
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_angles_agree_with_the_oracle_in_uneven_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kd_core.methods.rkd.CACHED_ELEMENTS", 3 * ROWS[0] ** 2)
    case = CASES["rkd-angle"]
    student, teacher = case.pair()
    expected = oracles.gradient(lambda s: case.oracle(s, teacher), student)
    assert case.loss(student, teacher).item() == pytest.approx(case.oracle(student, teacher), rel=1e-5)
    np.testing.assert_allclose(case.gradient(student, teacher), expected, atol=1e-4 * np.abs(expected).max())


# Zero at equality, and what else leaves a loss as it is


@every_loss
def test_zero_at_equality(case: Case) -> None:
    student, _ = case.pair()
    assert case.loss(student, student).item() == pytest.approx(0, abs=1e-7)


@every_loss
def test_positive_for_different_inputs(case: Case) -> None:
    assert case.loss(*case.pair()).item() > 1e-3


def _rotation(D: int) -> Tensor:
    rotation: Tensor = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(9)))[0]
    return rotation


def _per(axes: int) -> Callable[[Tensor], Tensor]:
    """Scale by one positive factor for each index of the first `axes` axes."""

    def scaled(x: Tensor) -> Tensor:
        shape = x.shape[:axes]
        return x * torch.linspace(0.2, 5, shape.numel()).reshape(*shape, *[1] * (x.dim() - axes))

    return scaled


INVARIANCES = {
    "logit, constant shift of an image's logits": ("logit", lambda x: x + torch.arange(6.0).unsqueeze(1)),
    "dkd target, constant shift of an image's logits": ("dkd-target", lambda x: x + torch.arange(6.0).unsqueeze(1)),
    "dkd others, constant shift of an image's logits": ("dkd-others", lambda x: x + torch.arange(6.0).unsqueeze(1)),
    "dist inter, constant shift of an image's logits": ("dist-inter", lambda x: x + torch.arange(6.0).unsqueeze(1)),
    "dist intra, constant shift of an image's logits": ("dist-intra", lambda x: x + torch.arange(6.0).unsqueeze(1)),
    "similarity, permuted channels": ("similarity", lambda x: x.roll(2, 1)),
    "similarity, mirrored maps": ("similarity", lambda x: x.flip(3)),
    "similarity, scale": ("similarity", lambda x: 37 * x),
    "attention, positive scale of an image's map": ("attention", _per(1)),
    "attention, permuted channels": ("attention", lambda x: x.flip(1)),
    "attention, sign of activations": ("attention", lambda x: -x),
    "factor, positive scale of an image's factor": ("factor", _per(1)),
    "nst, permuted channels": ("nst", lambda x: x.roll(2, 1)),
    "nst, positive scale of a channel": ("nst", _per(2)),
    "rkd distance, translation": ("rkd-distance", lambda x: x + torch.arange(5.0)),
    "rkd distance, rotation": ("rkd-distance", lambda x: x @ _rotation(5)),
    "rkd distance, scale": ("rkd-distance", lambda x: 37 * x),
    "rkd angle, translation": ("rkd-angle", lambda x: x + torch.arange(5.0)),
    "rkd angle, rotation": ("rkd-angle", lambda x: x @ _rotation(5)),
    "rkd angle, scale": ("rkd-angle", lambda x: 37 * x),
}


@pytest.mark.parametrize(("name", "change"), INVARIANCES.values(), ids=INVARIANCES)
@pytest.mark.parametrize("side", ["student", "teacher"])
def test_does_not_change_under(name: str, change: Callable[[Tensor], Tensor], side: str) -> None:
    case = CASES[name]
    student, teacher = case.pair()
    changed = (change(student), teacher) if side == "student" else (student, change(teacher))
    assert case.loss(*changed).item() == pytest.approx(case.loss(student, teacher).item(), rel=1e-5)


@pytest.mark.parametrize(("name", "change"), INVARIANCES.values(), ids=INVARIANCES)
def test_zero_for_a_student_that_differs_only_by(name: str, change: Callable[[Tensor], Tensor]) -> None:
    student, _ = CASES[name].pair()
    assert CASES[name].loss(change(student), student).item() == pytest.approx(0, abs=1e-6)


def test_attention_loss_lies_between_zero_and_four_whatever_the_size() -> None:
    for size in (1, 3, 16):
        maps = torch.zeros(2, 1, size, size)
        maps[:, :, 0, 0] = 1e3
        assert 0 <= attention_loss([maps], [maps.flip(2, 3)]).item() <= 4
    assert attention_loss([maps], [maps.flip(2, 3)]).item() == 2  # the farthest that two squares can be apart


def test_attention_loss_is_the_mean_over_the_pairs_of_maps() -> None:
    pairs = [CASES["attention"].pair(seed) for seed in range(3)]
    students, teachers = zip(*pairs, strict=True)
    mean = sum(attention_loss([s], [t]).item() for s, t in pairs) / 3
    assert attention_loss(students, teachers).item() == pytest.approx(mean, rel=1e-6)


# Values worked out by hand


def test_logit_loss_of_a_known_pair() -> None:
    # p = (3/4, 1/4), q = (1/2, 1/2): KL = 3/4 ln(3/2) + 1/4 ln(1/2)
    divergence = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    student, teacher = torch.zeros(1, 2), torch.tensor([[np.log(3.0), 0.0]])
    assert logit_loss(student, teacher, 1.0).item() == pytest.approx(divergence, rel=1e-6)
    assert logit_loss(student, 2 * teacher, 2.0).item() == pytest.approx(4 * divergence, rel=1e-6)
    assert logit_loss(student.expand(3, 2), teacher.expand(3, 2), 1.0).item() == pytest.approx(divergence, rel=1e-6)


def test_decoupled_losses_of_a_known_pair() -> None:
    # teacher: 3/4 for the label, then 1/6 and 1/12; student: 1/3 each
    teacher, student = torch.tensor([[9.0, 2.0, 1.0]]).log(), torch.zeros(1, 3)
    target, others = decoupled_losses(student, teacher, torch.tensor([0]), 1.0)
    assert target.item() == pytest.approx(0.75 * np.log(9 / 4) + 0.25 * np.log(3 / 8), rel=1e-6)
    assert others.item() == pytest.approx(2 / 3 * np.log(4 / 3) + 1 / 3 * np.log(2 / 3), rel=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_logit_distillation_is_the_target_and_a_share_of_the_others(temperature: float) -> None:
    for seed in range(3):
        student, teacher = CASES["logit"].pair(seed, scale=3)
        share = 1 - (teacher / temperature).softmax(1)[torch.arange(6), _labels(teacher)]
        parts = [
            torch.stack(
                decoupled_losses(student[i : i + 1], teacher[i : i + 1], _labels(teacher)[i : i + 1], temperature)
            )
            for i in range(6)
        ]
        whole = sum(float(target + share[i] * others) for i, (target, others) in enumerate(parts)) / 6
        assert logit_loss(student, teacher, temperature).item() == pytest.approx(whole, rel=1e-5)


def test_relation_losses_of_turned_orders_are_the_largest() -> None:
    # Two classes: a row's correlation is 1 or -1; the second item's order is turned
    student, teacher = torch.tensor([[0.0, 1.0], [0.0, 2.0]]), torch.tensor([[0.0, 3.0], [3.0, 0.0]])
    inter, intra = relation_losses(student, teacher, 2.0)
    assert inter.item() == pytest.approx(4 * (0 + 2) / 2)
    assert intra.item() == pytest.approx(4 * 2)


def test_similarity_loss_of_a_known_pair() -> None:
    # student: rows alike, G = (1 1; 1 1) / sqrt 2; teacher: orthogonal, G = identity
    student, teacher = (torch.tensor(rows).view(2, 2, 1, 1) for rows in ([[1.0, 0], [1, 0]], [[5.0, 0], [0, 5]]))
    expected = (2 * (1 - 0.5**0.5) ** 2 + 2 * 0.5) / 4
    assert similarity_loss(student, teacher).item() == pytest.approx(expected, rel=1e-6)


def test_distance_loss_of_three_points_on_a_line() -> None:
    # student 0 1 2: distances 1 2 1, mean 4/3; teacher 0 1 4: distances 1 4 3, mean 8/3; two pairs differ by 3/8
    student, teacher = torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([[0.0], [1.0], [4.0]])
    assert distance_loss(student, teacher).item() == pytest.approx(4 * (3 / 8) ** 2 / 2 / 9, rel=1e-6)


def test_angle_loss_of_a_triangle_and_a_line() -> None:
    # cosines 1/2 1/2 1/2 against 1 -1 1: smooth-L1 is 1/8, 1, 1/8, each for two orders of i and k, of 27 triplets
    triangle = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])
    line = torch.tensor([[0.0], [1.0], [2.0]])
    assert angle_loss(triangle, line).item() == pytest.approx(2 * (1 / 8 + 1 + 1 / 8) / 27, rel=1e-6)


def test_hint_loss_of_a_known_pair() -> None:
    assert hint_loss(torch.tensor([[[[1.0, 4.0]]]]), torch.tensor([[[[2.0, 1.0]]]])).item() == 5.0


def test_attention_loss_of_maps_active_in_different_places() -> None:
    left, right = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[[0.0, 5.0]]]])
    assert attention_loss([left], [right]).item() == pytest.approx(2.0)


def test_factor_loss_of_a_known_pair() -> None:
    left, right = torch.tensor([[[[3.0, 4.0]]]]), torch.tensor([[[[8.0, 6.0]]]])
    assert factor_loss(left, right).item() == pytest.approx(0.2)


def test_nst_loss_of_orthogonal_and_equal_channels() -> None:
    # student channels e1, e2: mean kernel 1/2; teacher e1, e1: 1; between them 1/2
    student = torch.tensor([[[[2.0, 0.0]], [[0.0, 3.0]]]])
    teacher = torch.tensor([[[[1.0, 0.0]], [[7.0, 0.0]]]])
    assert nst_loss(student, teacher).item() == pytest.approx(0.5)


def test_reconstruction_loss_is_the_mean_squared_error() -> None:
    student, teacher = CASES["hint"].pair()
    assert reconstruction_loss(student, teacher).item() == pytest.approx(oracles.hint(student, teacher), rel=1e-6)


# The teacher's side


@every_loss
def test_no_gradient_reaches_the_teacher(case: Case) -> None:
    student, teacher = (tensor.requires_grad_() for tensor in case.pair())
    case.loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().max() > 0


@every_loss
def test_nothing_is_recorded_for_a_student_without_gradient(case: Case) -> None:
    assert not case.loss(*case.pair()).requires_grad


@every_loss
def test_the_gradient_of_a_weighted_loss_is_the_weighted_gradient(case: Case) -> None:
    student, teacher = case.pair()
    leaf = student.clone().requires_grad_()
    (4 * case.loss(leaf, teacher)).backward()
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, 4 * case.gradient(student, teacher))  # a power of two rounds nothing


@every_loss
def test_inputs_are_left_as_they_were(case: Case) -> None:
    student, teacher = case.pair()
    before = student.clone(), teacher.clone()
    case.gradient(student, teacher)
    assert torch.equal(student, before[0])
    assert torch.equal(teacher, before[1])


# Precision


@every_loss
@every_dtype
def test_values_up_to_a_thousand_neither_overflow_nor_lose_precision(case: Case, dtype: torch.dtype) -> None:
    student, teacher = (tensor.clamp(-3, 3).mul(333).to(dtype) for tensor in case.pair())
    _assert_finite(case, student, teacher)
    expected = case.oracle(student.double(), teacher.double())
    assert case.loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_computes_in_float32_whatever_comes_in(case: Case, dtype: torch.dtype) -> None:
    student, teacher = (tensor.to(dtype) for tensor in case.pair())
    assert torch.equal(case.loss(student, teacher), case.loss(student.float(), teacher.float()))


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_autocast_changes_nothing(case: Case, dtype: torch.dtype) -> None:
    student, teacher = (tensor.to(dtype) for tensor in case.pair())
    leaf = student.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = case.loss(leaf, teacher)
    loss.backward()  # outside, as torch asks: a backward pass inside autocast is cast anew
    assert torch.equal(loss, case.loss(student, teacher))
    assert leaf.grad is not None
    assert torch.equal(leaf.grad, case.gradient(student, teacher))


# Inputs that break square roots and divisions


HOSTILE = {
    "identical rows": lambda x: x[:1].expand_as(x),
    "two identical rows": lambda x: torch.cat([x[:1], x[:-1]]),
    "all zero": torch.zeros_like,
    "one image all zero": lambda x: torch.cat([torch.zeros_like(x[:1]), x[1:]]),
    "one channel all zero": lambda x: torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:]], 1),
    "constant": lambda x: torch.full_like(x, 5),
    "smallest normal float16": lambda x: x.sign() * 6.2e-5,
    "one row 1e-7 from another": lambda x: torch.cat([x[:1] + 1e-7, x[:-1]]),
    "batch of 1": lambda x: x[:1],
    "batch of 1, all zero": lambda x: torch.zeros_like(x[:1]),
    "batch of 2": lambda x: x[:2],
}


@every_loss
@every_dtype
@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE)
def test_finite_gradient_for(case: Case, dtype: torch.dtype, hostile: Callable[[Tensor], Tensor]) -> None:
    student, teacher = (tensor.to(dtype) for tensor in case.pair())
    broken_student, broken_teacher = hostile(student), hostile(teacher)
    batch = len(broken_student)
    _assert_finite(case, broken_student, teacher[:batch])
    _assert_finite(case, student[:batch], broken_teacher)
    _assert_finite(case, broken_student, broken_teacher)
    _assert_finite(case, broken_student, broken_student)


@pytest.mark.parametrize("name", ["attention", "factor", "nst", "rkd-distance", "rkd-angle"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=str)
def test_no_gradient_where_there_is_no_direction(name: str, dtype: torch.dtype) -> None:
    # x.clamp(min=1e-12).sqrt() has NaN here in float16 up to torch 2.13, functional.normalize has 1e12 in float32
    _, teacher = CASES[name].pair()
    student = torch.zeros_like(teacher, dtype=dtype)
    assert torch.equal(CASES[name].gradient(student, teacher), student)


@pytest.mark.parametrize("name", ["rkd-distance", "rkd-angle"])
def test_equal_rows_have_distance_zero_and_others_keep_their_gradient(name: str) -> None:
    case = CASES[name]
    student, teacher = case.pair()
    student[1] = student[0]
    assert case.loss(student, teacher).item() == pytest.approx(case.oracle(student, teacher), rel=1e-5)
    gradient = case.gradient(student, teacher)
    assert (gradient[2:].abs().amax(1) > 0).all()


@pytest.mark.parametrize("name", ["rkd-distance", "rkd-angle"])
def test_rows_that_nearly_meet_still_count(name: str) -> None:
    case = CASES[name]
    student, teacher = case.pair()
    student[1] = student[0] + 1e-5
    assert case.loss(student, teacher).item() == pytest.approx(case.oracle(student, teacher), rel=1e-5)
    assert case.gradient(student, teacher).isfinite().all()


@pytest.mark.parametrize("name", ["rkd-distance", "rkd-angle"])
def test_rows_too_close_to_square_their_distance_are_one_point(name: str) -> None:
    case = CASES[name]
    student, teacher = case.pair()
    student[:, 0] = 0
    student[1] = student[0]
    together = case.loss(student, teacher)
    student[1, 0] = 1e-25
    assert torch.equal(case.loss(student, teacher), together)
    assert case.gradient(student, teacher).isfinite().all()


@every_loss
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_not_hidden(case: Case, value: float) -> None:
    student, teacher = case.pair()
    student.view(-1)[3] = value
    assert not case.loss(student, teacher).isfinite()


@every_loss
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_finite_gradient_for_any_float16_numbers(case: Case, data: st.DataObject) -> None:
    shape = (3, 2, 2, 3) if case.shape == MAPS else (4, 2)
    number = st.one_of(
        st.floats(-1e3, 1e3, width=16), st.sampled_from([0.0, -0.0, 6e-8, 1e-7, 0.0001, 1.0, 1.001, 1e3])
    )
    numbers = st.lists(number, min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))
    student, teacher = (torch.tensor(data.draw(numbers)).half().reshape(shape) for _ in range(2))
    # The loss sees float16 numbers; its gradient is looked at in float32, where an overflow is the loss's own fault.
    _assert_finite(case, student.float(), teacher)


# Shapes


@loss_of_maps
@pytest.mark.parametrize(
    ("student_size", "teacher_size"), [((8, 8), (4, 4)), ((4, 4), (8, 8)), ((6, 4), (4, 6)), ((7, 5), (3, 2))]
)
def test_maps_of_unequal_size_are_averaged_down_to_the_smaller(
    case: Case, student_size: tuple[int, int], teacher_size: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(3, 4, *size, generator=generator) for size in (student_size, teacher_size))
    _assert_finite(case, student, teacher)
    assert case.loss(student, teacher).item() == pytest.approx(case.oracle(student, teacher), rel=1e-5)


@pytest.mark.parametrize(("size", "to"), [((8, 6), (4, 3)), ((7, 5), (3, 2)), ((9, 4), (4, 4)), ((5, 5), (1, 1))])
def test_averaging_down_is_adaptive_average_pooling(size: tuple[int, int], to: tuple[int, int]) -> None:
    maps = torch.randn(2, 3, *size)
    np.testing.assert_allclose(pool(maps, *to), functional.adaptive_avg_pool2d(maps, to), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["attention", "nst"])
def test_student_and_teacher_may_differ_in_channels(name: str) -> None:
    student, teacher = torch.randn(3, 4, 5, 5), torch.randn(3, 9, 5, 5)
    loss = CASES[name].loss(student, teacher).item()
    assert loss == pytest.approx(CASES[name].oracle(student, teacher), rel=1e-5)


@pytest.mark.parametrize("name", ["rkd-distance", "rkd-angle"])
def test_student_and_teacher_may_differ_in_embedding_size(name: str) -> None:
    student, teacher = torch.randn(6, 4), torch.randn(6, 9)
    loss = CASES[name].loss(student, teacher).item()
    assert loss == pytest.approx(CASES[name].oracle(student, teacher), rel=1e-5)


@every_loss
def test_axes_that_must_agree_are_named_when_they_do_not(case: Case) -> None:
    student, teacher = case.pair()
    for axis in case.same:
        index = {"B": 0, "K": 1, "C": 1}[axis]
        cut = teacher.narrow(index, 0, teacher.shape[index] - 1)
        with pytest.raises(ShapeMismatch) as refused:
            case.loss(student, cut)
        assert str(tuple(student.shape)) in refused.value.what
        assert str(tuple(cut.shape)) in refused.value.what
        assert axis in refused.value.remedy


@every_loss
@pytest.mark.parametrize("change", [lambda x: x.unsqueeze(0), lambda x: x[:0]], ids=["one axis too many", "empty"])
def test_inputs_of_no_use_are_refused_by_name(case: Case, change: Callable[[Tensor], Tensor]) -> None:
    student, teacher = map(change, case.pair())
    with pytest.raises(ShapeMismatch, match=r"^[a-z_]+_loss(es)? cannot compare"):
        case.loss(student, teacher)


def test_a_reconstruction_of_another_shape_is_refused_by_name() -> None:
    with pytest.raises(ShapeMismatch, match=r"^reconstruction_loss cannot compare"):
        reconstruction_loss(torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 5))


def test_a_shape_mismatch_is_one_of_the_projects_errors() -> None:
    assert issubclass(ShapeMismatch, KdError)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_cannot_soften_is_refused(temperature: float) -> None:
    with pytest.raises(UsageError, match=f"temperature {temperature}"):
        logit_loss(torch.zeros(2, 3), torch.zeros(2, 3), temperature)


def test_dkd_needs_other_classes() -> None:
    with pytest.raises(UsageError, match="dkd needs other classes than the label's"):
        decoupled_losses(torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(2, dtype=torch.long), 4.0)


@pytest.mark.parametrize(("students", "teachers"), [(0, 0), (2, 3)])
def test_lists_of_maps_must_pair_up(students: int, teachers: int) -> None:
    maps = torch.ones(1, 1, 2, 2)
    with pytest.raises(UsageError, match=f"{students} student maps and {teachers} teacher maps"):
        attention_loss([maps] * students, [maps] * teachers)


# The shared pieces


@pytest.mark.parametrize("scale", [1e-37, 1e-20, 1.0, 1e18, 1e37])
def test_unit_vectors_have_length_one_at_any_scale(scale: float) -> None:
    vectors = (torch.randn(5, 7) * scale).requires_grad_()
    directions = unit(vectors)
    np.testing.assert_allclose(torch.linalg.vector_norm(directions, dim=1).detach(), 1, rtol=1e-6)
    (gradient,) = torch.autograd.grad(directions.sum(), vectors)
    assert gradient.isfinite().all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_loss
def test_runs_deterministically_on_a_gpu_and_agrees_with_the_cpu(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    student, teacher = case.pair()
    torch.set_deterministic_debug_mode("error")
    try:
        loss, gradient = case.loss(student.cuda(), teacher.cuda()), case.gradient(student.cuda(), teacher.cuda())
    finally:
        torch.set_deterministic_debug_mode("default")
    assert loss.item() == pytest.approx(case.loss(student, teacher).item(), rel=1e-5)
    np.testing.assert_allclose(gradient.cpu(), case.gradient(student, teacher), rtol=1e-4, atol=1e-6)
