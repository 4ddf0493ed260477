"""Figures: the same bytes again, something in every panel, no label over another, empty cells hatched and counted."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from itertools import combinations

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from kd_analysis.figures.best_alpha import Bar, best_alpha_figure
from kd_analysis.figures.classes import classes_figure
from kd_analysis.figures.curves import Line, curves_figure, run_figure
from kd_analysis.figures.facets import Level, facets_figure
from kd_analysis.figures.forest import ForestRow, forest_figure
from kd_analysis.figures.forks import Departure, forks_figure
from kd_analysis.figures.gallery import Drawn, draw
from kd_analysis.figures.geometry import (
    Points,
    accuracy_against_alignment_figure,
    cross_layer_figure,
    scatter_figure,
    series_figure,
)
from kd_analysis.figures.heatmaps import HeatRow, heatmaps_figure
from kd_analysis.figures.matrices import components_figure, students_figure
from kd_analysis.figures.model import Residual, design_figure, residuals_figure
from kd_analysis.figures.overview import (
    HeatCell,
    OverviewRow,
    ProgressGrid,
    accuracy_overview_figure,
    heatmap_figure,
    progress_figure,
)
from kd_analysis.figures.style import MARKERS, PALETTE, alpha_style, styled
from kd_analysis.figures.sweeps import Band, sweep_figure
from kd_analysis.figures.taxonomy import Dot, Plane, taxonomy_figure
from kd_analysis.figures.terms import TermCurves, terms_figure
from kd_hpc.triage.run_directory import Curves

ALPHAS = (0.25, 0.5, 0.75)
METHODS = ("logit", "factor_transfer", "attention_transfer", "fitnets", "rkd", "nst")
DATASETS = ("Cifar10", "Cifar100", "SVHN", "TinyImageNet")
LAYERS = ("layer1", "layer2", "layer3")
RNG = np.random.default_rng(0)
SWEEP: dict[float | None, list[float]] = {0.25: [93.0, 93.4, 93.1], 0.5: [93.2, 93.9], 0.75: []}
BANDS = (Band("pure ResNet56", (92.9, 93.2, 93.1)), Band("teacher ResNet112", (94.0,), True))
POINTS = Points({m: RNG.normal(size=(6, 2)).tolist() for m in METHODS}, [(0.1, 0.2)], [(0.5, -40.0)])

FALL = tuple(2.3 * 0.8**epoch for epoch in range(20))
TERMS = [
    TermCurves(alpha, FALL, tuple(alpha * v / 300 for v in FALL), tuple(alpha / v for v in FALL)) for alpha in ALPHAS
]
STUDENT = Curves(
    test_acc=(1.0, 2.0),
    test_loss=(2.0, 1.0),
    terms={"ce": (2.0, 1.0), "distance": (0.02, 0.01), "angle": (0.0, 0.004)},
    gradient_norms={"ce": (2.0, 0.5), "distance": (0.2, 0.1), "angle": (0.1, 0.0)},
)

DRAWINGS: dict[str, Callable[[], Figure]] = {
    "sweeps": partial(sweep_figure, dict.fromkeys(METHODS, SWEEP), BANDS, ALPHAS, "test accuracy (%)"),
    "facets": partial(
        facets_figure,
        {layer: {method: {0.25: [0.2, 0.3], 0.5: [0.4, 0.5]} for method in METHODS} for layer in LAYERS},
        {layer: (Level("plain student (n=2)", 0.1, "floor"), Level("classes alone", 0.05, "null")) for layer in LAYERS},
        ALPHAS,
        "linear CKA",
    ),
    "heatmaps": partial(
        heatmaps_figure,
        [
            HeatRow(
                name, {layer: {(m, a): a for m in METHODS for a in ALPHAS} for layer in LAYERS}, 2, diverging=signed
            )
            for name, signed in (("effective rank", False), ("RBF minus linear CKA", True))
        ],
        METHODS,
        (*ALPHAS, 1.0),
    ),
    "taxonomy": partial(
        taxonomy_figure,
        [Plane("CKA", "RBF CKA", {n: [Dot(m, a, a, a**2, 3) for m in METHODS for a in ALPHAS] for n in LAYERS})],
        ALPHAS,
    ),
    "forest": partial(
        forest_figure,
        {
            name: [
                ForestRow(m, str(a), a - 0.5, a - 1, a + (9 if m == "rkd" else 0), 3, "supported")
                for m in METHODS
                for a in ALPHAS
            ]
            for name in DATASETS
        },
        "difference (points)",
        0.5,
    ),
    "residuals": partial(residuals_figure, [Residual(m, 90 + i, i / 10, m) for i, m in enumerate(("pure", *METHODS))]),
    "design": partial(design_figure, {name: [(n, 2 / n, 5 / n) for n in (2, 3, 6)] for name in DATASETS}, 0.5),
    "best alpha": partial(best_alpha_figure, {n: [Bar(m, "0.5", 0.3, 0.6, 3) for m in METHODS] for n in DATASETS}),
    "best alpha of one method": partial(best_alpha_figure, {"Digits": [Bar("logit", "0.5", 0.3, 0.6, 3)]}),
    "heatmap of one method": partial(
        heatmap_figure,
        {"Digits": {("logit", 0.5): HeatCell(1.0, 3)}},
        ("logit",),
        (0.5,),
        "difference to the reference (points)",
    ),
    "classes": partial(
        classes_figure,
        {(f"class {k}", m): k / 10 - 0.4 for k in range(10) for m in METHODS},
        tuple(f"class {k}" for k in range(10)),
        METHODS,
    ),
    "students": partial(students_figure, dict.fromkeys(LAYERS, np.eye(7)), ("pure", *METHODS)),
    "forks": partial(
        forks_figure, {"Logit KD 0.5, after 8 Logit KD 0": [Departure(8, tuple(range(20)), tuple(range(20)))]}
    ),
    "matched components": partial(components_figure, dict.fromkeys(METHODS, np.eye(9))),
    "curves": partial(
        curves_figure,
        {m: [Line(0, tuple(np.linspace(10, 90 + i, 20)), a, True) for i, a in enumerate(ALPHAS)] for m in METHODS},
        ALPHAS,
        "test_acc",
    ),
    "run": partial(run_figure, Curves(test_acc=(1.0, 2.0), test_loss=(2.0, 1.0)), 0, "Cifar10/pure/ResNet56/0 (ok)"),
    "run with terms": partial(run_figure, STUDENT, 0, "Cifar10/rkd/alpha_0.5/ResNet112_to_ResNet56/0 (ok)"),
    "terms": partial(
        terms_figure,
        dict.fromkeys([*((m, f"{m} term") for m in METHODS), ("rkd", "angle")], TERMS),
        ALPHAS,
    ),
    "progress": partial(
        progress_figure,
        ProgressGrid(
            tuple(f"{method.replace('_', ' ')} {alpha}" for method in METHODS for alpha in ALPHAS),
            tuple((dataset, str(seed)) for dataset in DATASETS for seed in range(3)),
            {(f"rkd {alpha}", ("SVHN", "1")): "flagged" for alpha in ALPHAS}
            | {("nst 0.5", ("Cifar10", "0")): "missing"},
        ),
    ),
    "overview": partial(
        accuracy_overview_figure,
        {
            name: [OverviewRow(f"{m} 0.5", (70.1, 71.2), (1.0,) if m == "rkd" else ()) for m in METHODS]
            for name in DATASETS
        },
    ),
    "heatmap": partial(
        heatmap_figure,
        {name: {("logit", 0.5): HeatCell(0.4, 3), ("rkd", 0.25): HeatCell(-2.0, 1)} for name in DATASETS},
        METHODS,
        ALPHAS,
        "difference (points)",
    ),
    "spectra": partial(
        series_figure,
        {
            layer: {name: {k: [k / 20, k / 16] for k in range(1, 17)} for name in ("pure A", "pure B", *METHODS)}
            for layer in LAYERS
        },
        "principal components",
        "share of variance",
        (0.9, 0.95),
        logarithmic=True,
    ),
    "cross-layer": partial(
        cross_layer_figure,
        {f"{name[:7]} {alpha}": np.eye(3) for name in METHODS for alpha in ALPHAS}
        | {"teacher itself": np.ones((3, 3))},
        LAYERS,
    ),
    "scatter": partial(
        scatter_figure, dict.fromkeys(("pure ResNet112", *METHODS), (RNG.normal(size=(90, 2)), np.arange(90) % 10))
    ),
    "accuracy against alignment": partial(
        accuracy_against_alignment_figure, dict.fromkeys(LAYERS, POINTS), "linear CKA (debiased)"
    ),
}
each_figure = pytest.mark.parametrize("name", DRAWINGS)


@cache
def drawn_once(name: str) -> Drawn:
    return draw(DRAWINGS[name])


@each_figure
def test_a_figure_has_the_same_bytes_when_drawn_again(name: str) -> None:
    assert drawn_once(name) == draw(DRAWINGS[name])


@each_figure
def test_no_bytes_of_a_figure_depend_on_the_day(name: str) -> None:
    drawn = drawn_once(name)
    assert b"<dc:date>" not in drawn["svg"]
    assert b"CreationDate" not in drawn["pdf"]


@each_figure
def test_every_visible_panel_shows_something(name: str) -> None:
    figure = DRAWINGS[name]()
    for ax in figure.axes:
        if ax.get_visible():
            assert ax.lines or ax.collections or ax.patches or ax.images


@each_figure
def test_no_two_texts_lie_on_each_other_and_none_is_cut_off(name: str) -> None:
    with styled():
        figure = DRAWINGS[name]()
        figure.draw_without_rendering()
        boxes = [(text.get_text(), text.get_window_extent()) for text in _shown(figure)]
        frame = figure.bbox
    for text, box in boxes:
        assert min(box.x0 - frame.x0, frame.x1 - box.x1, box.y0 - frame.y0, frame.y1 - box.y1) > -2, f"{text!r} is cut"
    for (first, a), (second, b) in combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide < 1.5 or high < 1.5, f"{first!r} lies on {second!r}"


def _shown(figure: Figure) -> list[Text]:
    """Every text that is drawn: ticks beyond the limits and hidden panels exist as objects only."""
    texts = [text for legend in figure.legends for text in legend.get_texts()] + list(figure.texts)
    for ax in (ax for ax in figure.axes if ax.get_visible()):
        texts += ax.findobj(Text)
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                beyond = not low - 1e-9 <= tick.get_loc() <= high + 1e-9
                texts = [text for text in texts if text is not tick.label2 and not (beyond and text is tick.label1)]
    return [text for text in dict.fromkeys(texts) if text.get_visible() and text.get_text().strip()]


def test_cells_without_a_run_are_hatched_and_say_n_0() -> None:
    with styled():
        figure = DRAWINGS["sweeps"]()
        figure.draw_without_rendering()
    panel = figure.axes[0]
    assert any(patch.get_hatch() for patch in panel.patches)
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0.25\nn=3", "0.5\nn=2", "0.75\nn=0"]


def test_seeds_that_agree_star_their_n_and_get_no_interval() -> None:
    figure = sweep_figure({"logit": {0.5: [97.8, 97.8], 0.75: [97.0, 97.4]}}, (), (0.5, 0.75), "accuracy")
    panel = figure.axes[0]
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0.5\nn=2*", "0.75\nn=2"]
    (interval,) = (found for found in panel.collections if isinstance(found, LineCollection))
    assert interval.get_segments()[0][0][0] == 1
    heat = heatmap_figure({"Digits": {("logit", 0.5): HeatCell(0.4, 2, True)}}, ("logit",), (0.5,), "points")
    assert [text.get_text() for text in heat.axes[0].texts] == ["+0.40  n=2*"]


def test_loss_terms_stand_beside_cross_entropy_with_relative_gradients() -> None:
    figure = DRAWINGS["run with terms"]()
    values, gradients = figure.axes[2:]
    assert {line.get_label() for line in values.lines} == {"cross-entropy", "distance", "angle"}
    drawn = {str(line.get_label()): np.asarray(line.get_ydata()).tolist() for line in gradients.lines}
    assert drawn["distance"] == pytest.approx([0.1, 0.2])
    assert drawn["angle"] == pytest.approx([0.05, np.nan], nan_ok=True)
    assert (values.get_yscale(), gradients.get_yscale()) == ("log", "log")


@pytest.mark.parametrize("terms", [{}, {"ce": (2.0, 1.0)}])
def test_a_run_without_distillation_terms_gets_no_panel_for_them(terms: dict[str, tuple[float, ...]]) -> None:
    figure = run_figure(Curves(test_acc=(1.0, 2.0), terms=terms), 0, "Cifar10/pure/ResNet56/0 (ok)")
    assert [ax.get_ylabel() for ax in figure.axes] == ["accuracy (%)", "loss"]


def test_terms_without_gradient_norms_leave_no_empty_panel() -> None:
    figure = terms_figure({("logit", "kl"): [TermCurves(0.5, FALL, FALL, ())]}, ALPHAS)
    assert [ax.get_visible() for ax in figure.axes] == [True, False]


def test_training_losses_of_different_methods_have_scales_of_their_own() -> None:
    groups = {"logit": [Line(0, (2.0, 1.0), 0.5, True)], "factor_transfer": [Line(0, (900.0, 400.0), 0.5, True)]}
    small, large = curves_figure(groups, (0.5,), "train_loss").axes
    assert small.get_ylim()[1] < 3 < 400 < large.get_ylim()[1]
    one, other = curves_figure(groups, (0.5,), "test_acc").axes
    assert one.get_ylim() == other.get_ylim()


def test_several_quarantined_runs_of_a_row_share_one_label() -> None:
    rows = {"Cifar100": [OverviewRow("logit 0.5", (69.3, 70.1), (73.0, 73.1)), OverviewRow("rkd 0.5", (), (1.25,))]}
    texts = [text.get_text().strip() for text in accuracy_overview_figure(rows).axes[0].texts]
    assert texts == ["73.0, 73.1 %, quarantined", "1.2 %, quarantined"]


def test_many_alphas_break_the_heat_squares_text_so_that_it_fits() -> None:
    alphas = (0.2, 0.4, 0.6, 0.8)
    four: dict[tuple[str, float | None], HeatCell] = {("logit", alpha): HeatCell(0.4, 3) for alpha in alphas}
    figure = heatmap_figure(dict.fromkeys(DATASETS, four), METHODS, alphas, "points")
    with styled():
        figure.draw_without_rendering()
    panel = figure.axes[0]
    width = panel.bbox.width / 4
    assert {text.get_text() for text in panel.texts} == {"+0.40\nn=3", "n=0"}
    assert all(text.get_window_extent().width < width for text in panel.texts)


def test_no_method_has_the_marker_of_a_cut_interval() -> None:
    assert not {"^", "v"} & set(MARKERS)


def test_a_single_alpha_is_drawn_dark_and_solid() -> None:
    assert alpha_style(0.5, (0.5,)) == alpha_style(0.75, ALPHAS)


def test_an_interval_beyond_the_axis_is_marked() -> None:
    figure = sweep_figure({"logit": {0.5: [90.0, 94.0]}}, (), (0.5,), "accuracy")
    markers = {line.get_marker() for line in figure.axes[0].lines}
    assert {"^", "v"} <= markers


def test_palette_stays_distinct_for_red_green_blind_readers() -> None:
    # Machado et al. 2009, severity 1.0
    deuteranopia = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    colours = [[int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)] for code in PALETTE]
    seen = [np.clip(deuteranopia @ colour, 0, 1) for colour in colours]
    for (i, a), (j, b) in combinations(enumerate(seen), 2):
        assert np.linalg.norm(a - b) > 0.15, (PALETTE[i], PALETTE[j])


def test_text_from_a_run_is_never_read_as_mathematics() -> None:
    drawn = draw(partial(run_figure, Curves(test_acc=(1.0,)), 0, "a$b_{c}$/<script>"))
    assert not re.search(rb"<script", drawn["svg"])
