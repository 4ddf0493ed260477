"""What every distillation method is, and the numerics that all of them share.

Three rules hold in every file of this folder, because breaking each of them has cost somebody a campaign:

- A loss is computed in float32 with autocast off, whatever dtype comes in. Under fp16 autocast a floor of 1e-12
  rounds to zero, the gradient of a square root there is NaN, and the optimizer skips every step in silence.
- Nothing divides by a length that may be zero. A vector without direction (a dead map, two equal rows) has direction
  zero and passes no gradient. `functional.normalize` there multiplies the gradient by 1e12 instead.
- The teacher's side is detached inside the loss, so that no caller can forget it.

And nothing moves between host and GPU, or a step could not be recorded: `masked_fill` takes a number as it is, where
`torch.where` copies it to the device and waits.

Shapes: B images, C channels, H x W positions, K classes, N = H * W, D the size of an embedding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_core.networks.base import Outputs, Widths
from kd_hpc.catalogue import LOSS_TERMS
from kd_hpc.errors import TrainingError, UsageError


class ShapeMismatch(TrainingError):
    """A student's and a teacher's tensor that a loss cannot compare."""

    def __init__(self, loss: str, student: Tensor, teacher: Tensor, needs: str) -> None:
        shapes = f"student {tuple(student.shape)}, teacher {tuple(teacher.shape)}"
        super().__init__(f"{loss} cannot compare {shapes}.", remedy=f"Pass {needs}.")


class FirstStage(Protocol):
    """Training a module on what the teacher makes of the training images, before any student's own training."""

    def __call__(
        self, name: str, make: Callable[[], nn.Module], loss: Callable[[Any, Outputs], Tensor]
    ) -> Mapping[str, Any]:
        """The weights of `make()` after minimising `loss(module, teacher's outputs)`, a float32 scalar.

        They are the teacher's, kept under `name`: whichever of its students asks first pays for them.
        """
        ...


def untrained(name: str, make: Callable[[], nn.Module], loss: Callable[[Any, Outputs], Tensor]) -> Mapping[str, Any]:
    """A first stage that trains nothing: to time or list a method, never to teach with it."""
    return make().state_dict()


class Items(NamedTuple):
    """Which items a batch holds, and when: what a method may ask for beside the outputs. All on the training device."""

    labels: Tensor
    """(B,) int64"""
    indices: Tensor
    """(B,) int64: which of the training images."""
    epoch: Tensor
    """() int64: finished epochs. Not a number, for a recorded step reads it anew each time."""


class Method(nn.Module, ABC):
    """A distillation method: named, unweighted loss terms of a student's and a teacher's outputs.

    What a method trains beside the student (a regressor, a translator) is among its parameters with
    `requires_grad`, for the student's own optimizer. A subclass takes in its constructor only what it needs.
    """

    name: ClassVar[str]
    weights: ClassVar[Mapping[str, float]] = {}
    """Default weight of each term in L_method, from the method's line in the catalogue."""
    definition: ClassVar[str]
    """One line: what each term is."""
    source: ClassVar[str]
    """Authors, year and place in the paper."""
    asks: ClassVar[tuple[str, ...]] = ()
    """Fields of Items that `terms` takes by name."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if unknown := set(cls.asks) - set(Items._fields):
            raise UsageError(
                f"{cls.name} asks for {min(unknown)}, which no batch has.",
                remedy=f"There are {', '.join(Items._fields)}.",
            )
        cls.weights = LOSS_TERMS.get(cls.name, {})

    @classmethod
    def build(cls, *, student: Widths, teacher: Widths, temperature: float) -> Self:
        """This method for two networks; its modules draw from torch's global generator.

        Build the student before it: the student's start then depends on the seed alone, not on the method.
        """
        return cls()

    @abstractmethod
    def terms(self, student: Outputs, teacher: Outputs, *args: Any, **asked: Any) -> dict[str, Tensor]:
        """Each term by name, a float32 scalar before its weight; its keys are those of `weights`.

        A subclass takes the two outputs, and by name what it `asks` for.
        """

    def terms_of(self, student: Outputs, teacher: Outputs, items: Items) -> dict[str, Tensor]:
        """`terms` with what the method asks for of the batch's items."""
        return self.terms(student, teacher, **{name: getattr(items, name) for name in self.asks})

    def prepare(self, stage: FirstStage) -> None:
        """Called after `build` and before the first `terms`; a method with a stage before the student's own asks here.

        Nothing by default.
        """


def require_comparable(loss: str, student: Tensor, teacher: Tensor, *, axes: str, same: str) -> None:
    """Raise ShapeMismatch unless both have the `axes` (as "BCHW"), none of them empty, and agree in the `same` ones."""
    both = (student, teacher)
    if any(tensor.dim() != len(axes) or tensor.numel() == 0 for tensor in both) or any(
        student.shape[axes.index(axis)] != teacher.shape[axes.index(axis)] for axis in same
    ):
        raise ShapeMismatch(loss, *both, f"both as ({', '.join(axes)}), not empty, with the same {' and '.join(same)}")


def at_common_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps (B, C, H, W) averaged down, axis by axis, to the smaller of their heights and widths."""
    height = min(student.shape[2], teacher.shape[2])
    width = min(student.shape[3], teacher.shape[3])
    return pool(student, height, width), pool(teacher, height, width)


def pool(maps: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W) -> (B, C, height, width), the means of adaptive average pooling.

    Written without `adaptive_avg_pool2d`, whose gradient on a GPU is not deterministic and refuses to run where
    determinism is asked for.
    """
    H, W = maps.shape[2:]
    if (height, width) == (H, W):
        return maps
    if H % height == 0 and W % width == 0:
        return functional.avg_pool2d(maps, (H // height, W // width))
    return _bins(H, height, maps) @ maps @ _bins(W, width, maps).T


def _bins(size: int, bins: int, like: Tensor) -> Tensor:
    """(bins, size) matrix whose row i averages the positions from floor(i size / bins) to ceil((i+1) size / bins)."""
    position = torch.arange(size, device=like.device)
    row = torch.arange(bins, device=like.device).unsqueeze(1)
    inside = (position >= row * size // bins) & (position < ((row + 1) * size + bins - 1) // bins)
    return inside.to(like.dtype) / inside.sum(1, keepdim=True)


def unit(vectors: Tensor) -> Tensor:
    """Each vector along the last axis, scaled to length 1; a zero vector stays zero and passes no gradient."""
    # The scale is a constant to autograd: the result does not depend on it, so neither does the gradient. It keeps
    # squares inside float32 for vectors of any size.
    scale = vectors.detach().abs().amax(-1, keepdim=True)
    none = ~(scale > torch.finfo(vectors.dtype).tiny)
    scaled = vectors / scale.masked_fill(none, 1.0)
    squared_length = scaled.square().sum(-1, keepdim=True).masked_fill(none, 1.0)
    return scaled * squared_length.rsqrt().masked_fill(none, 0.0)
