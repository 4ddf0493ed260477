"""CUDA graphs: the GPU keeps all launches of a step, and the host starts them with one.

Whatever is recorded may neither read a value back nor copy one from ordinary host memory; both would end the recording
with an error. Students record on streams of their own, so that the GPU may work on several at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch


class CudaGraphs:
    """Records work on the current GPU."""

    def __init__(self) -> None:
        self._streams: list[torch.cuda.Stream] = []

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Recording does not do the work. Raises RuntimeError where something in it cannot be recorded."""
        graph = torch.cuda.CUDAGraph()
        # thread_local: a loader's thread that pins memory may go on meanwhile
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            work()
        replay: Callable[[], None] = graph.replay
        return replay

    def side_by_side(self, works: Iterable[Callable[[], None]]) -> None:
        """Each on its own stream, which begins after what came before and ends before what comes after."""
        here = torch.cuda.current_stream()
        used = []
        for number, work in enumerate(works):
            stream = self._stream(number)
            stream.wait_stream(here)
            with torch.cuda.stream(stream):
                work()
            used.append(stream)
        for stream in used:
            here.wait_stream(stream)

    def _stream(self, number: int) -> torch.cuda.Stream:
        while len(self._streams) <= number:
            self._streams.append(torch.cuda.Stream())
        return self._streams[number]
