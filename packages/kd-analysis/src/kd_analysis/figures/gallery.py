"""Drawing many figures: only those whose data or whose drawing code changed, in as many processes as asked for."""

from __future__ import annotations

import contextlib
import pickle
import pkgutil
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from functools import cache, cached_property, partial
from hashlib import sha256
from importlib import import_module, resources
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kd_analysis import figures
from kd_analysis.processes import Workers, collect_seldom
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
    """Figures kept under `root`/figures by the hash of their data and of the code that draws them; drawn by `workers`,
    or here where those are fewer than two."""

    def __init__(
        self, root: Path | None, workers: Workers | None = None, formats: tuple[str, ...] = ("svg", "pdf")
    ) -> None:
        self.root = root / "figures" if root else None
        self.workers = workers if workers and workers.count > 1 else None
        self.formats = formats
        self._all_new = self.workers is not None and not (self.root and self.root.is_dir())
        self._begun: dict[str, Future[Drawn]] = {}

    def stand_by(self) -> None:
        """If nothing was ever drawn, let the workers load meanwhile what they will draw with."""
        if self.workers and self._all_new:
            self.workers.stand_by(partial(load_what_draws, self.formats))

    def begin(self, figures: Collection[Drawable]) -> None:
        """If nothing was ever drawn, let the workers draw these meanwhile, those that show most first."""
        if self.workers and self._all_new:
            sizes = {figure.name: len(pickle.dumps(figure.draw)) for figure in figures}
            for figure in sorted(figures, key=lambda figure: -sizes[figure.name]):
                self._begun[figure.name] = self.workers.start(partial(draw, formats=self.formats), figure.draw)

    def draw_all(
        self, figures: Sequence[Drawable], progress: Callable[[int, int], None] = lambda done, of: None
    ) -> dict[str, Drawn]:
        """Every figure by name, in the order given."""
        keys = {figure.name: self._key(figure) for figure in figures}
        found = {figure.name: self._kept(keys[figure.name]) for figure in figures}
        missing = [figure for figure in figures if found[figure.name] is None]
        drawings = self._drawn(missing)
        for done, (figure, drawn) in enumerate(zip(missing, drawings, strict=True), start=1):
            found[figure.name] = drawn
            self._keep(keys[figure.name], drawn)
            progress(done, len(missing))
        return {name: drawn for name, drawn in found.items() if drawn is not None}

    def _drawn(self, figures: Sequence[Drawable]) -> Iterator[Drawn]:
        work, draws = partial(draw, formats=self.formats), [figure.draw for figure in figures]
        if figures and all(figure.name in self._begun for figure in figures):
            yield from (self._begun[figure.name].result() for figure in figures)
        else:
            yield from self.workers.each(work, draws) if self.workers and len(draws) >= FEW else map(work, draws)

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

    load_what_draws(formats)
    with styled():
        drawing = figure()
        lay_out(drawing)
        return {suffix: to_svg(drawing) if suffix == "svg" else to_pdf(drawing) for suffix in formats}


@cache
def load_what_draws(formats: tuple[str, ...]) -> None:
    """Every module of figures, and what those load late, so that who only names a figure need not wait for it."""
    for name in ("figure", *(f"backends.backend_{suffix}" for suffix in ("agg", *formats))):
        import_module(f"matplotlib.{name}")
    for module in pkgutil.iter_modules(figures.__path__, f"{figures.__name__}."):
        import_module(module.name)
    collect_seldom()
