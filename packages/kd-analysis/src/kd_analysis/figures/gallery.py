"""Drawing many figures: only those whose data or whose drawing code changed, in as many processes as asked for."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kd_analysis.processes import in_processes
from kd_hpc.disk.files import publish_bytes
from kd_hpc.disk.sealed import read_bytes, seal_bytes
from kd_hpc.errors import Damaged, StoreError

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

FEW = 6
Drawn = dict[str, bytes]
"""A figure's bytes by format, svg and pdf."""


class Drawable(Protocol):
    """A name and a picklable call that draws: a partial of a function in `figures` over plain data."""

    @property
    def name(self) -> str: ...

    @property
    def draw(self) -> Callable[[], Drawing]: ...


class Gallery:
    """Figures kept under `root`/figures by the hash of their data and of the code that draws them."""

    def __init__(self, root: Path | None, workers: int = 1, formats: tuple[str, ...] = ("svg", "pdf")) -> None:
        self.root = root / "figures" if root else None
        self.workers = workers
        self.formats = formats

    def draw_all(
        self, figures: Sequence[Drawable], progress: Callable[[int, int], None] = lambda done, of: None
    ) -> dict[str, Drawn]:
        """Every figure by name, in the order given."""
        keys = {figure.name: self._key(figure) for figure in figures}
        found = {figure.name: self._kept(keys[figure.name]) for figure in figures}
        missing = [figure for figure in figures if found[figure.name] is None]
        drawings = self._drawn([figure.draw for figure in missing])
        for done, (figure, drawn) in enumerate(zip(missing, drawings, strict=True), start=1):
            found[figure.name] = drawn
            self._keep(keys[figure.name], drawn)
            progress(done, len(missing))
        return {name: drawn for name, drawn in found.items() if drawn is not None}

    def _drawn(self, draws: Sequence[Callable[[], Drawing]]) -> Iterator[Drawn]:
        if self.workers < 2 or len(draws) < FEW:
            yield from (draw(call, self.formats) for call in draws)
            return
        yield from in_processes(partial(draw, formats=self.formats), draws, self.workers)

    def _key(self, figure: Drawable) -> str:
        return sha256(self._code + pickle.dumps(figure.draw)).hexdigest()

    @cached_property
    def _code(self) -> bytes:
        """What draws: our figure modules and matplotlib's version."""
        import matplotlib

        digest = sha256(matplotlib.__version__.encode())
        folder = resources.files("kd_analysis") / "figures"
        for module in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if module.name.endswith(".py"):
                digest.update(module.read_bytes())
        return digest.digest()

    def _kept(self, key: str) -> Drawn | None:
        if self.root is None:
            return None
        try:
            return {suffix: read_bytes(self.root / f"{key}.{suffix}.kept") for suffix in self.formats}
        except (OSError, Damaged):
            return None

    def _keep(self, key: str, drawn: Drawn) -> None:
        if self.root is not None:
            with contextlib.suppress(OSError, StoreError):
                self.root.mkdir(parents=True, exist_ok=True)
                for suffix, content in drawn.items():
                    publish_bytes(self.root / f"{key}.{suffix}.kept", seal_bytes(content))


def draw(figure: Callable[[], Drawing], formats: tuple[str, ...] = ("svg", "pdf")) -> Drawn:
    """The figure in each format."""
    from kd_analysis.figures.style import lay_out, styled, to_pdf, to_svg

    with styled():
        drawing = figure()
        lay_out(drawing)
        return {suffix: to_svg(drawing) if suffix == "svg" else to_pdf(drawing) for suffix in formats}
