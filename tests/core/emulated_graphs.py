"""CUDA graphs as far as a CPU can show them: operations recorded as they reach the device, and done again on the same
tensors, with none of the Python around them. What a real recording forbids is forbidden here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

Result = TypeVar("Result")
FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "scalar_tensor", "unique")
"""Operations that make the host wait for a value, or bring one from its memory."""


class EmulatedGraphs:
    """A Recorder; `spoil` is called before each replay, to inject a fault; `forbidden` cannot be recorded either."""

    def __init__(self, spoil: Callable[[], None] = lambda: None, forbidden: tuple[str, ...] = ()) -> None:
        self.spoil, self.forbidden = spoil, FORBIDDEN + forbidden
        self.recorded = self.replayed = 0

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        with _Recording(self.forbidden) as recording:
            work()
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            self.spoil()
            recording.replay()

        return replay

    def side_by_side(self, works: Iterable[Callable[[], None]]) -> None:
        """In reverse, for none may need another's result."""
        for work in reversed(list(works)):
            work()

    def meanwhile(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """As late as can be, once."""
        return cache(work)


class _Recording(TorchDispatchMode):
    def __init__(self, forbidden: tuple[str, ...]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.forbidden = forbidden
        self.operations: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.forbidden or any(
            _is_mask(index) for index in tree_flatten(args)[0] if name.startswith("index")
        ):
            raise RuntimeError(f"operation not permitted while recording: {func}")
        result = func(*args, **(kwargs or {}))
        self.operations.append((func, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        """Each operation again; what it made anew goes where it was made when recorded."""
        for func, args, kwargs, recorded in self.operations:
            again = func(*args, **kwargs)
            for place, value in zip(tree_flatten(recorded)[0], tree_flatten(again)[0], strict=True):
                if isinstance(place, Tensor) and place.data_ptr() != value.data_ptr():
                    place.copy_(value)


def _is_mask(value: object) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.bool
