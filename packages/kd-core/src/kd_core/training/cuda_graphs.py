"""CUDA graphs: the GPU keeps all launches of a step, and the host starts them with one.

Whatever is recorded may neither read a value back nor copy one from ordinary host memory; both would end the recording
with an error. Students record on streams of their own, so that the GPU may work on several at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

import torch

Result = TypeVar("Result")


class CudaGraphs:
    """Records work on the current GPU."""

    def __init__(self) -> None:
        self._streams: list[torch.cuda.Stream] = []
        self._recorded_on, self._aside = torch.cuda.Stream(), torch.cuda.Stream()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Recording does not do the work. Raises RuntimeError where something in it cannot be recorded.

        It is the first error that is raised: ending a broken recording gives another one, which says nothing of why.
        Afterwards the current stream is the one it was, and memory is taken from where it was, too.
        """
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        with torch.cuda.stream(self._recorded_on):
            # thread_local: a loader's thread that pins memory may go on meanwhile
            graph.capture_begin(pool=pool, capture_error_mode="thread_local")
            try:
                work()
            except BaseException:
                _abandon(graph, pool)
                raise
            try:
                graph.capture_end()
            except RuntimeError:
                _take_memory_as_before(pool)
                raise
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

    def meanwhile(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """On a stream of its own, which begins after what came before; whoever asks for the result waits for it.

        Somebody must ask, on the stream that this was called from or on one that it waits for.
        """
        self._aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._aside):
            found = work()
            done = self._aside.record_event()

        def result() -> Result:
            torch.cuda.current_stream().wait_event(done)
            return found

        return result

    def _stream(self, number: int) -> torch.cuda.Stream:
        while len(self._streams) <= number:
            self._streams.append(torch.cuda.Stream())
        return self._streams[number]


def _abandon(graph: torch.cuda.CUDAGraph, pool: tuple[int, int]) -> None:
    """End a recording that an error broke; what ends with another error must still be put back."""
    with suppress(RuntimeError):
        graph.capture_end()
    _take_memory_as_before(pool)


def _take_memory_as_before(pool: tuple[int, int]) -> None:
    """A recording that fails to end leaves the allocator taking memory from the recording's own pool."""
    names = ("_cuda_endAllocateToPool", "_cuda_endAllocateCurrentStreamToPool")  # the latter until torch 2.6
    end = next(getattr(torch._C, name) for name in names if hasattr(torch._C, name))
    with suppress(RuntimeError):  # where it came as far as ending that, the graph itself gives back its pool
        end(torch.cuda.current_device(), pool)
        torch._C._cuda_releasePool(torch.cuda.current_device(), pool)
