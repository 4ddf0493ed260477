"""Work in several processes that Ctrl-C ends at once and without a word."""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


@cache
def collect_seldom() -> None:
    """Look for garbage that refers to itself a hundredth as often: what a short process makes is mostly kept, and going
    through it again and again would be a tenth of its time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class Workers:
    """Processes that take up one list of work after another; none is started before there is any."""

    def __init__(self, pool: ProcessPoolExecutor, count: int) -> None:
        self._pool = pool
        self.count = count

    def stand_by(self, prepare: Callable[[], object]) -> None:
        """Start them now and let each load what it will need, while this process does something else."""
        with _interrupts_wait():
            for _ in range(self.count):
                self._pool.submit(prepare)

    def start(self, work: Callable[[Item], Made], item: Item) -> Future[Made]:
        """What `work` will have made of the item."""
        with _interrupts_wait():
            return self._pool.submit(work, item)

    def each(
        self, work: Callable[[Item], Made], items: Sequence[Item], *, as_they_come: bool = False
    ) -> Iterator[Made]:
        """What `work` makes of each item; in the order of the items, or as results come."""
        with _interrupts_wait():
            futures: list[Future[Made]] = [self._pool.submit(work, item) for item in items]
        for future in as_completed(futures) if as_they_come else futures:
            yield future.result()


@contextmanager
def processes(count: int) -> Iterator[Workers]:
    """So many fresh processes. Whoever leaves by an exception or by Ctrl-C ends them."""
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield Workers(pool, count)
    except BaseException:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        pool.shutdown(cancel_futures=True)  # waits: a thread of its own would write to a closed pipe at exit
        raise
    pool.shutdown()


def in_processes(
    work: Callable[[Item], Made], items: Sequence[Item], count: int, *, as_they_come: bool = False
) -> Iterator[Made]:
    """`Workers.each` by processes of its own. Whoever stops listening ends them."""
    with processes(count) as found:
        yield from found.each(work, items, as_they_come=as_they_come)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Processes started within never see Ctrl-C: they inherit the mask. This one sees it afterwards."""
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)
