"""How every figure looks: sizes in inches of a thesis page, a colour-blind-safe palette, bytes that never change.

Methods are told apart by colour and marker, alphas by lightness and line style: print in grey and they still differ.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from kd_analysis.accuracy.names import rank
from kd_hpc.catalogue import METHODS

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDTH = 6.3
"""Text width of an A4 thesis page in inches."""
LEAST_HEIGHT = 2.2
# Okabe & Ito (2008), without yellow, which vanishes on paper.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
# Triangles that point up or down are left to intervals that go on beyond an axis.
MARKERS = ("o", "s", "<", "D", ">", "P", "X")
PURE_COLOUR, TEACHER_COLOUR = "#555555", "#8B5E00"
HATCH = "////"
HOVER = "hover-"
PLACING = ("GSUB", "GPOS", "GDEF", "MATH", "kern")
"""A font's tables of substitutions, positions, classes of glyphs, formulas and kerning."""

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titley": 1.0,  # where it is anyway: to look for something above the axes first takes a twelfth of the time
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "legend.frameon": False,
    "hatch.linewidth": 0.4,
    "svg.hashsalt": "kd-analysis",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "figure.constrained_layout.use": True,
    "text.parse_math": False,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw and save within this, and nowhere else."""
    with mpl.rc_context(RC):  # type: ignore[arg-type]  # its keys are literals only in the newest stubs
        yield


def new_figure(rows: int, columns: int, *, height: float, **options: Any) -> tuple[Figure, np.ndarray[Any, Any]]:
    """A figure of thesis width with (rows, columns) axes; `height` is that of one row in inches, unless all together
    leave no room for labels and a legend."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, max(height * rows, LEAST_HEIGHT)))
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def lay_out(figure: Figure) -> None:
    """Place everything once, for all formats."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine("none")


def to_svg(figure: Figure) -> bytes:
    """The laid out figure as SVG, the same bytes for the same figure."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    return _titled(_printed(figure, FigureCanvasSVG(figure).print_svg, without=("Date", "Creator")))


def to_pdf(figure: Figure) -> bytes:
    """The laid out figure as PDF for LaTeX, the same bytes for the same figure."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf  # loads fonts' tools, which an SVG needs not

    with _fonts_of_outlines():
        return _printed(figure, FigureCanvasPdf(figure).print_pdf, without=("CreationDate", "Creator", "Producer"))


@contextmanager
def _fonts_of_outlines() -> Iterator[None]:
    """Embed fonts without what places glyphs: a PDF says where each one lies, and reading those tables and cutting them
    to the glyphs that are used takes three times as long as all others."""
    from fontTools import subset  # type: ignore[import-untyped]

    usual = subset.load_font

    def without_placing(*words: Any, **options: Any) -> Any:
        font = usual(*words, **options)
        for table in PLACING:
            if table in font:
                del font[table]
        return font

    subset.load_font = without_placing
    try:
        yield
    finally:
        subset.load_font = usual


def hover(artist: Artist, text: str) -> None:
    """Let the page show `text` while the pointer rests on the artist."""
    artist.set_gid(f"{HOVER}{text}")


def _titled(svg: bytes) -> bytes:
    """The SVG with every hover text as the title of its group, and no id that says more than a number."""
    numbers = count()

    def title(found: re.Match[str]) -> str:
        return f'<g id="{HOVER}{next(numbers)}"><title>{found[1]}</title>'

    return re.sub(rf'<g id="{HOVER}([^"]*)">', title, svg.decode()).encode()


def _printed(figure: Figure, write: Callable[..., None], *, without: Sequence[str]) -> bytes:
    """What `write` prints, without that metadata. It draws once; `savefig` draws twice, for the layout's sake."""
    stream, dpi = io.BytesIO(), figure.dpi
    write(stream, metadata=dict.fromkeys(without))
    figure.dpi = dpi  # vector formats leave their own
    return stream.getvalue()


def method_style(method: str, methods: Sequence[str]) -> dict[str, Any]:
    """Colour and marker: the catalogue's methods always have the same, others follow."""
    known = rank(method, METHODS)[0]
    others = [name for name in methods if name not in METHODS]
    number = known if method in METHODS else len(METHODS) + others.index(method)
    marker = number + number // len(PALETTE)  # a colour that comes again has another marker
    return {"color": PALETTE[number % len(PALETTE)], "marker": MARKERS[marker % len(MARKERS)]}


def alpha_style(alpha: float | None, alphas: Sequence[float | None]) -> dict[str, Any]:
    """Darker and more solid with more alpha; a single one is dark."""
    steps = len(alphas) - 1
    place = (list(alphas).index(alpha) / steps if steps > 0 else 1.0) if alpha in alphas else 0.0
    dashes = ((0, (1, 1)), (0, (4, 1)), "-")
    return {"color": mpl.colormaps["viridis"](0.75 - 0.65 * place), "linestyle": dashes[round(place * 2)]}


def count_label(n: int, *, tied: bool = False) -> str:
    """How many seeds; starred where all agree, so that no interval stands beside them."""
    return f"n={n}*" if tied else f"n={n}"


def panels(count: int, most: int = 3) -> tuple[int, int]:
    """(rows, columns) for `count` small panels, at most `most` in a row, rows as even as can be."""
    rows = max(1, math.ceil(count / most))
    return rows, max(1, math.ceil(count / rows))


def log_scale(ax: Axes) -> None:
    """A logarithmic y axis with plain numbers: whole decades, or 1, 2 and 5 of each where there are few."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    low, high = ax.dataLim.intervaly
    decades = math.log10(high / low) if 0 < low < high else 0.0
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0,) if decades > 2 else (1.0, 2.0, 5.0), numticks=6))
    ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.yaxis.set_minor_locator(NullLocator())  # they double the time a figure takes to draw


def count_in_whole_numbers(axis: Axis) -> None:
    """For epochs and seeds, of which there is no half."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def hide_unused(axes: np.ndarray[Any, Any], used: int) -> None:
    """Switch off the panels after the first `used`."""
    for ax in axes.flat[used:]:
        ax.set_visible(False)


def legend_below(figure: Figure, axes: Sequence[Axes], columns: int = 4) -> None:
    """One legend for all axes, under them, each label once."""
    entries: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=min(columns, len(entries)))


def band(ax: Axes, interval: tuple[float, float, float], label: str, *, is_teacher: bool) -> None:
    """A line across at the first value (dashed for a teacher), shaded from the second to the third where finite."""
    centre, low, high = interval
    if not math.isfinite(centre):
        return
    colour = TEACHER_COLOUR if is_teacher else PURE_COLOUR
    ax.axhline(centre, color=colour, linewidth=1, linestyle=(0, (5, 2)) if is_teacher else "-", label=label)
    if math.isfinite(low) and math.isfinite(high):
        ax.axhspan(low, high, facecolor=colour, alpha=0.13, linewidth=0)


def label_outer(axes: np.ndarray[Any, Any], used: int, xlabel: str, ylabel: str) -> None:
    """Label the left column, and the lowest used panel of each column."""
    columns = axes.shape[1]
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel)
    for column in range(min(columns, used)):
        lowest = axes[(used - 1 - column) // columns, column]
        lowest.set_xlabel(xlabel)
        lowest.tick_params(labelbottom=True)


def keep_data_visible(ax: Axes, values: Sequence[float], margin: float = 0.35) -> None:
    """Limit the y axis to the values and a margin: an interval from two seeds may be longer than all else together."""
    found = np.asarray([value for value in values if math.isfinite(value)])
    if found.size:
        span = max(float(np.ptp(found)), 0.02 * max(abs(float(found.max())), 1e-9), 1e-6)
        ax.set_ylim(float(found.min()) - margin * span, float(found.max()) + margin * span)


def mark_cut_intervals(ax: Axes) -> None:
    """Arrow heads where an interval goes on beyond the axis; one that leaves it on both sides says little and is
    faint."""
    from matplotlib.collections import LineCollection

    low, high = ax.get_ylim()
    for lines in (found for found in ax.collections if isinstance(found, LineCollection)):
        colour = lines.get_colors()[0]
        for (x, bottom), (_, top) in lines.get_segments():
            if bottom < low and top > high:
                lines.set(alpha=0.45, linewidth=0.6)
            for beyond, y, marker in ((top > high, high, "^"), (bottom < low, low, "v")):
                if beyond:
                    ax.plot([x], [y], marker=marker, color=colour, clip_on=False, markersize=4)
