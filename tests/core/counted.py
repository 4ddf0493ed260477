"""Work without a clock: what a piece of code asks of torch, which is the same on every machine and under every load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Work(TorchDispatchMode):
    """`operations` by name; elements `written` by all of them, and by the `largest` at once. A view writes none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: Counter[str] = Counter()
        self.written = self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations[func.overloadpacket.__name__] += 1
        given = {_memory(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and (func._schema.is_mutable or _memory(leaf) not in given):
                self.written += leaf.numel()
                self.largest = max(self.largest, leaf.numel())
        return result


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def work_of(piece: Callable[[], object]) -> Work:
    """What `piece()` asks for, gradients included."""
    work = Work()
    with work:
        piece()
    return work
