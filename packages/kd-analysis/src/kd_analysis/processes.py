"""Work in several processes that Ctrl-C ends at once and without a word."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_processes(
    work: Callable[[Item], Made], items: Sequence[Item], workers: int, *, as_they_come: bool = False
) -> Iterator[Made]:
    """What `work` makes of each item, by fresh processes; in the order of the items, or as results come.

    Whoever stops listening, by an exception or by Ctrl-C, ends the processes.
    """
    with _pool(workers) as pool:
        with _interrupts_wait():
            futures: list[Future[Made]] = [pool.submit(work, item) for item in items]
        for future in as_completed(futures) if as_they_come else futures:
            yield future.result()


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        raise
    pool.shutdown()


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Processes started within never see Ctrl-C: they inherit the mask. This one sees it afterwards."""
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
