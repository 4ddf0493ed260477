"""Relational knowledge distillation, "RKD" (Park et al. 2019, arXiv:1904.05068: distance-wise and angle-wise loss).

With e_i the rows of an embedding (here layer3, averaged over positions), smooth-L1 l of Huber's form, delta 1:

    distance  psi(i, j)    = |e_i - e_j| / mean of |e_a - e_b| over the pairs with |e_a - e_b| > 0
              L_D          = mean over all B^2 pairs of    l( psi_student, psi_teacher )
    angle     psi(i, j, k) = < (e_i - e_j) / |e_i - e_j| , (e_k - e_j) / |e_k - e_j| >       the cosine at j
              L_A          = mean over all B^3 triplets of l( psi_student, psi_teacher )

As in the authors' code the means run over all pairs and triplets, those with i = j included (both sides are 0 there),
and the gradient flows through the mean distance. That code takes distances from a Gram matrix floored at 1e-12: equal
rows then lie 1e-6 apart, and under fp16 the floor is 0 and the gradient NaN. Here distances come from differences,
equal rows are at distance 0, have no direction, and pass no gradient. Not to be confused with a B x B matrix of
pairwise cosines, often called "angle": it has no triplets and changes when the embedding is translated. L_D and L_A do
not change under translation, rotation or scaling of either embedding.

Both equal the authors', RepDistiller's, mdistiller's and torchdistill's (docs/agreement.md). RepDistiller and
mdistiller weigh L_D by 25 and L_A by 50. Beside cross-entropy at equal shares that leaves the label some 6 % of the
gradient, and the student learns nothing; the defaults here, 1 and 2, are the authors' for metric learning.

Both gradients are written by hand. Any function of the rows' differences has a gradient of one form, g_i = sum_k Z_ik
(e_k - e_i) with a symmetric B x B matrix Z, so that of the angles needs no (B, B, D) pass, and walking through j in
blocks that fit a cache needs no (B, B, B) tensor in memory.

Shapes: B images, C channels, H x W positions, D = C the size of the embedding.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from kd_core.methods.base import Method, require_comparable
from kd_core.networks.base import Outputs

SAME_POINT = 1e-12
"""Rows nearer than this share of the embedding's largest coordinate are one point."""
CACHED_ELEMENTS = 2**18
"""Elements of a (rows, B, B) block on a CPU: 1 MiB of float32, which stays in the second cache."""
LAUNCHED_ELEMENTS = 2**26
"""The same elsewhere, where each block costs launches: 256 MiB."""


def distance_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth-L1 between the pairwise distances of two embeddings, each in units of its mean distance.

    Both (B, D), any floating dtype; D may differ. Returns a float32 scalar, 0 for B = 1 and for equal embeddings.
    Raises ShapeMismatch where B differs.
    """
    require_comparable("distance_loss", student, teacher, axes="BD", same="B")
    with torch.autocast(student.device.type, enabled=False):
        return functional.smooth_l1_loss(_relative_distances(student), _relative_distances(teacher.detach()))


def angle_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth-L1 between the cosines of all B^3 angles of two embeddings.

    Both (B, D), any floating dtype; D may differ. Returns a float32 scalar, 0 for B = 1 and for equal embeddings.
    Raises ShapeMismatch where B differs.
    """
    require_comparable("angle_loss", student, teacher, axes="BD", same="B")
    with torch.autocast(student.device.type, enabled=False):
        loss: Tensor = _AngleLoss.apply(_scaled(student), _scaled(teacher.detach()))
        return loss


def _scaled(embedding: Tensor) -> Tensor:
    """In float32, its largest coordinate between 1/2 and 1: a constant to autograd, for both losses ignore scale."""
    embedding = embedding.float()
    largest = embedding.detach().abs().amax()
    # A power of two, by which nothing is rounded: differences stay exact far from the origin.
    power = largest / torch.frexp(largest).mantissa
    return embedding / power.masked_fill(~(largest > torch.finfo(torch.float32).tiny), 1.0)


def _relative_distances(embedding: Tensor) -> Tensor:
    """(B, D) -> (B, B)"""
    distances: Tensor = _Distances.apply(_scaled(embedding))
    count = (distances > 0).sum()
    # Distances that do not count are zero, so the plain sum is theirs; no mask, hence no wait for a GPU.
    return distances / (distances.sum() / count.clamp(min=1)).masked_fill(count == 0, 1.0)


class _Distances(torch.autograd.Function):
    """(B, D) -> (B, B) Euclidean distances, with gradient 0 where the distance is 0."""

    @staticmethod
    def forward(ctx: Any, embedding: Tensor) -> Tensor:
        distances = torch.cdist(embedding, embedding, compute_mode="donot_use_mm_for_euclid_dist")
        distances = distances.masked_fill(distances <= SAME_POINT, 0.0)
        ctx.save_for_backward(embedding, distances)
        return distances

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        embedding, distances = ctx.saved_tensors
        pull = -gradient * _inverse(distances)
        return _weighted_differences(pull + pull.T, embedding)


class _AngleLoss(torch.autograd.Function):
    """L_A and its gradient, computed together block by block: j in rows, (i, k) in the last two axes."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
        B = len(student)
        loss, pull = student.new_zeros(()), student.new_zeros(B, B)
        elements = CACHED_ELEMENTS if student.device.type == "cpu" else LAUNCHED_ELEMENTS
        step = max(1, elements // B**2)
        for rows in (slice(first, first + step) for first in range(0, B, step)):
            block_loss, toward, away = _angle_block(student, teacher, rows)
            loss += block_loss
            pull += toward
            pull[rows] -= away
            pull[:, rows] -= away.T
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(_weighted_differences(pull * (2 / B**3), student))
        return loss / B**3

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (student_gradient,) = ctx.saved_tensors
        return gradient * student_gradient, None


def _angle_block(student: Tensor, teacher: Tensor, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
    """For the angles at j in `rows`: their summed loss and their share of Z, on pairs (i, k) and on pairs (j, i).

    With q the derivative of smooth-L1, c the cosines and h the inverse lengths, differentiating
    c_jik = h_ji h_jk <e_i - e_j, e_k - e_j> leaves  sum_j q h_ji h_jk  on the pairs (i, k) and
    sum_k q h_ji h_jk - h_ji^2 sum_k q c  on the pairs (j, i), to be taken away.
    """
    cosines, inverse = _cosines(student, rows)
    residual = cosines - _cosines(teacher, rows)[0]
    slope = residual.clamp(-1, 1)
    loss = residual.sub_(slope, alpha=0.5).mul_(slope).sum()
    turned = (slope * cosines).sum(2) * inverse
    slope *= inverse.unsqueeze(1)
    away = (slope.sum(2) - turned) * inverse
    toward = torch.einsum("ji,jik->ik", inverse, slope)
    return loss, toward, away


def _cosines(embedding: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
    """Cosines (rows, B, B) of the angles at each row, and inverse lengths (rows, B) of the differences."""
    difference = embedding.unsqueeze(0) - embedding[rows].unsqueeze(1)
    inverse = _inverse(torch.linalg.vector_norm(difference, dim=2))
    direction = difference.mul_(inverse.unsqueeze(2))
    return torch.bmm(direction, direction.transpose(1, 2)), inverse


def _inverse(lengths: Tensor) -> Tensor:
    """1 / length, and 0 for what has no direction."""
    return (1 / lengths).masked_fill(~(lengths > SAME_POINT), 0.0)


def _weighted_differences(weights: Tensor, points: Tensor) -> Tensor:
    """sum_k Z_ik (e_k - e_i): (B, B) symmetric, (B, D) -> (B, D)."""
    centred = points - points.mean(0)
    return weights @ centred - weights.sum(1, keepdim=True) * centred


class RKD(Method):
    name: ClassVar[str] = "rkd"
    definition: ClassVar[str] = (
        "distance, angle: smooth-L1 of relative pairwise distances and of the cosines of all triplets, "
        "embedding = layer3 averaged over space"
    )
    source: ClassVar[str] = "Park et al. 2019, arXiv:1904.05068, distance-wise and angle-wise loss"

    def terms(self, student: Outputs, teacher: Outputs) -> dict[str, Tensor]:
        embeddings = [outputs.layer3.float().mean((2, 3)) for outputs in (student, teacher)]
        return {"distance": distance_loss(*embeddings), "angle": angle_loss(*embeddings)}


METHOD = RKD
