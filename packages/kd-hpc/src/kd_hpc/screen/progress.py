"""A progress bar with time left on stderr; silent when stderr is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kd_hpc.screen.escapes import unguarded


@contextmanager
def bar() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Yields `step(name)`, which gives a function to be called with (done, of)."""
    if not sys.stderr.isatty():
        yield lambda name: lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=unguarded(sys.stderr)), transient=True) as progress:

        def step(name: str) -> Callable[[int, int], None]:
            task = progress.add_task(name, total=None)
            return lambda done, of: progress.update(task, completed=done, total=of)

        yield step
