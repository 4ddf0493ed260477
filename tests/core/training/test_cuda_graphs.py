"""A recording that breaks tells its first error and leaves stream and memory as they were, on a GPU that is acted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch

from kd_core.training.cuda_graphs import CudaGraphs

POOL = (0, 1)


class Acted:
    """torch.cuda as far as a recording needs it. Ending a recording after an error gives another error."""

    def __init__(self, *, ends: bool = True) -> None:
        self.current, self.ends = "ordinary", ends
        self.pool_in_use = self.recording = self.broken = False
        self.released = self.replayed = 0

    @contextmanager
    def stream(self, stream: str) -> Iterator[None]:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    def end_pool(self, device: int, pool: tuple[int, int]) -> None:
        assert (device, pool) == (0, POOL)
        if not self.pool_in_use:
            raise RuntimeError("not recording to this pool")
        self.pool_in_use = False

    def release_pool(self, device: int, pool: tuple[int, int]) -> None:
        assert not self.pool_in_use
        assert (device, pool) == (0, POOL)
        self.released += 1


class Graph:
    def __init__(self, acted: Acted) -> None:
        self.acted = acted

    def capture_begin(self, pool: tuple[int, int], capture_error_mode: str) -> None:
        assert self.acted.current == "recording", "the default stream cannot be recorded"
        assert pool == POOL
        assert capture_error_mode == "thread_local", "a loader's thread may pin memory meanwhile"
        self.acted.recording = self.acted.pool_in_use = True

    def capture_end(self) -> None:
        self.acted.recording = False
        if self.acted.broken or not self.acted.ends:
            raise RuntimeError("operation failed due to a previous error during capture")
        self.acted.pool_in_use = False

    def replay(self) -> None:
        self.acted.replayed += 1


def on_stage(acted: Acted, monkeypatch: pytest.MonkeyPatch) -> CudaGraphs:
    fakes: dict[str, Callable[..., object]] = {
        "Stream": lambda: "recording",
        "stream": acted.stream,
        "CUDAGraph": lambda: Graph(acted),
        "graph_pool_handle": lambda: POOL,
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
        "current_device": lambda: 0,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", acted.end_pool, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", acted.release_pool, raising=False)
    return CudaGraphs()


def assert_as_before(acted: Acted) -> None:
    assert (acted.current, acted.recording, acted.pool_in_use) == ("ordinary", False, False)


def test_what_was_recorded_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    acted, streams = Acted(), list[str]()
    replay = on_stage(acted, monkeypatch).record(lambda: streams.append(acted.current))
    assert streams == ["recording"]
    assert_as_before(acted)
    assert not acted.released, "the graph still needs its memory"
    replay()
    assert acted.replayed == 1


def test_the_first_error_is_told_and_everything_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    acted = Acted()

    def read_a_value() -> None:
        acted.broken = True
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="operation not permitted when stream is capturing"):
        on_stage(acted, monkeypatch).record(read_a_value)
    assert_as_before(acted)
    assert acted.released == 1


def test_an_error_that_broke_no_recording_gives_nothing_back_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    acted = Acted()

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        on_stage(acted, monkeypatch).record(fail)
    assert_as_before(acted)
    assert not acted.released, "that is left to the graph, which ended well"


def test_a_recording_that_cannot_be_ended_is_put_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    acted = Acted(ends=False)
    with pytest.raises(RuntimeError, match="previous error"):
        on_stage(acted, monkeypatch).record(lambda: None)
    assert_as_before(acted)
    assert acted.released == 1


def test_works_side_by_side_have_streams_of_their_own_between_what_comes_before_and_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[str, str, str]] = []
    names = iter(["recording", "aside", "first", "second"])

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            told.append((self.name, "waits for", other.name))

    @contextmanager
    def on(stream: Stream) -> Iterator[None]:
        told.append((stream.name, "works", ""))
        yield

    here = Stream("here")
    for name, fake in {"Stream": lambda: Stream(next(names)), "current_stream": lambda: here, "stream": on}.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    graphs, done = CudaGraphs(), list[int]()
    for _ in range(2):
        told.clear()
        graphs.side_by_side([lambda: done.append(1), lambda: done.append(2)])
        assert told == [
            ("first", "waits for", "here"), ("first", "works", ""),
            ("second", "waits for", "here"), ("second", "works", ""),
            ("here", "waits for", "first"), ("here", "waits for", "second"),
        ]  # fmt: skip
    assert done == [1, 2, 1, 2]


def test_work_aside_begins_after_what_came_before_and_is_waited_for_by_those_who_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[str, str, str]] = []
    names = iter(["recording", "aside", "asks"])
    on_now: list[Stream] = []

    class Stream:
        def __init__(self, name: str) -> None:
            self.name = name

        def wait_stream(self, other: Stream) -> None:
            told.append((self.name, "waits for", other.name))

        def record_event(self) -> str:
            told.append((self.name, "marks", "its end"))
            return "its end"

        def wait_event(self, event: str) -> None:
            told.append((self.name, "waits until", event))

    @contextmanager
    def on(stream: Stream) -> Iterator[None]:
        on_now.append(stream)
        yield
        on_now.pop()

    def work() -> int:
        told.append((on_now[-1].name, "works", ""))
        return 7

    on_now.append(Stream("here"))
    fakes = {"Stream": lambda: Stream(next(names)), "current_stream": lambda: on_now[-1], "stream": on}
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    result = CudaGraphs().meanwhile(work)
    with on(Stream("asks")):
        assert result() == 7
    assert told == [
        ("aside", "waits for", "here"), ("aside", "works", ""), ("aside", "marks", "its end"),
        ("asks", "waits until", "its end"),
    ]  # fmt: skip
