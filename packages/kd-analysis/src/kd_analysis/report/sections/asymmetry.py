"""The ledger of asymmetric transfer: does the student take over what the teacher knows, or also where it errs?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from kd_analysis.accuracy.cell_model import cell_model
from kd_analysis.accuracy.cells import Grid, Setting
from kd_analysis.accuracy.effects import Effect
from kd_analysis.accuracy.names import show_alpha
from kd_analysis.accuracy.other_values import grid_of_values
from kd_analysis.accuracy.trend_model import trends
from kd_analysis.analysis import Analysis
from kd_analysis.figures.forest import ForestRow, forest_figure
from kd_analysis.report.document import Block, Column, Figure, Section, Table, Text, table
from kd_analysis.report.sections.geometry_tables import NONE, key, mean
from kd_analysis.representations.pairs import FLOOR, OTHER, OWN
from kd_analysis.representations.transfer import transferred
from kd_analysis.representations.values import GeometryValue

SIDES = {"right": "agreement_teacher_right", "wrong": "agreement_teacher_wrong"}
INTRO = (
    "How often a student answers as its teacher does, in percent of the items its teacher gets right, and of those it "
    "gets wrong: agreement on the latter is a copied error. Differences are to the plain student of the same seed with "
    "the same teacher, tested as accuracies are: all cells of a data set and side at once. 'Own over other teachers' "
    "is the same agreement beyond that with the other seeds' teachers and beyond the plain student's. Few errors make "
    "a coarse share: a teacher at 99 % has a hundred in 10,000."
)
COLUMNS = (
    Column("dataset", label="data set"),
    Column("teacher_is", label="teacher is"),
    Column("method", kind="method"),
    "alpha",
    "n",
    Column("agreement", 2, label="agreement (%)"),
    Column("plain", 2, label="plain student (%)"),
    Column("difference", 2, signed=True, label="difference (points)"),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("p_adjusted", kind="p", label="p, adjusted"),
    "conclusion",
    Column("own_over_others", 2, signed=True, label="own over other teachers"),
    Column("items", label="items"),
    Column("networks", beside=True),
)
SLOPES = (
    Column("dataset", label="data set"),
    Column("teacher_is", label="teacher is"),
    Column("method", kind="method"),
    "n",
    Column("slope", 2, signed=True, label="slope (points per unit alpha)"),
    Column("low", 2, signed=True),
    Column("high", 2, signed=True),
    Column("p", kind="p"),
    Column("p_adjusted", kind="p", label="p, Holm"),
    "conclusion",
)
WORDS = {"supported": "agrees more", "contradicted": "agrees less"}
"""The claim is that students agree more."""
NO_SMALLEST = 0.0
"""The smallest effect of interest is declared for accuracies: no agreement is called equivalent."""


def asymmetry_section(analysis: Analysis) -> Section:
    """tables/asymmetry.csv and its picture."""
    title = "Does the student copy the teacher's errors?"
    found = {
        (setting, side): effects
        for setting in analysis.last.settings
        for side, name in SIDES.items()
        if (effects := list(_effects(analysis, setting, name)))
    }
    if not found:
        return Section("asymmetry", title, (Text(NONE),))
    rows = [_row(analysis, setting, side, effect) for (setting, side), each in found.items() for effect in each]
    ledger = table("asymmetry", "Agreement with the teacher where it is right and where it is wrong", COLUMNS, rows)
    blocks: list[Block] = [Text(INTRO)]
    for setting in dict.fromkeys(setting for setting, _ in found):
        blocks.append(_figure(setting, {side: found.get((setting, side), []) for side in SIDES}))
    return Section("asymmetry", title, (*blocks, ledger, _slopes(analysis)))


def _effects(analysis: Analysis, setting: Setting, name: str) -> Iterator[Effect]:
    model = cell_model(_grid(analysis, name), setting, NO_SMALLEST, permuted=False)
    yield from model.effects if model else ()


def _grid(analysis: Analysis, name: str) -> Grid:
    known = [value for value in analysis.values if value.name == name and value.value == value.value]
    own = {value.identity: value.value for value in known if value.relation == OWN}
    plain = {value.identity: value.value for value in known if value.relation == FLOOR}
    return grid_of_values(analysis.last, own, plain)


def _row(analysis: Analysis, setting: Setting, side: str, effect: Effect) -> tuple[object, ...]:
    cell, values = effect.cell, analysis.by_setting[setting]
    over = transferred(values, SIDES[side]).get("", {}).get(cell.method, {}).get(cell.alpha, [])
    return (
        setting.dataset,
        side,
        cell.method,
        show_alpha(cell.alpha),
        effect.n,
        mean(list(cell.values.values())),
        mean(list(cell.reference.values.values())),
        effect.difference,
        effect.low,
        effect.high,
        effect.p_adjusted,
        WORDS.get(effect.conclusion, str(effect.conclusion)),
        mean(over),
        _items(values, side),
        setting.pair,
    )


def _items(values: Sequence[GeometryValue], side: str) -> str:
    """How many items the shares are of, over teachers."""
    wrong = {
        v.reference: int(v.value) for v in values if v.name == "teacher_wrong_items" and v.relation in (OWN, OTHER)
    }
    if side == "right" or not wrong:
        return "the others"
    least, most = min(wrong.values()), max(wrong.values())
    return str(least) if least == most else f"{least}–{most}"


def _figure(setting: Setting, sides: dict[str, list[Effect]]) -> Figure:
    groups = {
        f"teacher {side}": [_forest_row(effect) for effect in effects] for side, effects in sides.items() if effects
    }
    where = f"asymmetry_{key(setting)}"
    caption = (
        "Agreement with the own teacher beyond the plain student's, points, 95 % intervals for all cells of a panel at "
        f"once: where the teacher is right, and where it is wrong, {setting.name}."
    )
    rows = [
        (name, row.method, row.mark, row.n, row.estimate, row.low, row.high)
        for name, found in groups.items()
        for row in found
    ]
    columns = ("panel", Column("method", kind="method"), "alpha", "n", "difference", "low", "high")
    draw = partial(forest_figure, groups, "difference in agreement (points)", 0.0, called=WORDS)
    return Figure(where, caption, draw, table(where, caption, columns, rows))


def _forest_row(effect: Effect) -> ForestRow:
    mark, bounds = show_alpha(effect.cell.alpha), (effect.difference, effect.low, effect.high)
    return ForestRow(effect.cell.method, mark, *bounds, effect.n, str(effect.conclusion))


def _slopes(analysis: Analysis) -> Table:
    rows = []
    for side, name in SIDES.items():
        grid = _grid(analysis, name)
        for setting in analysis.last.settings:
            model = cell_model(grid, setting, NO_SMALLEST, permuted=False)
            for trend in trends(grid, model) if model else ():
                bounds = (trend.slope.estimate, trend.slope.low, trend.slope.high, trend.p, trend.p_adjusted)
                word = WORDS.get(trend.conclusion, str(trend.conclusion))
                rows.append((setting.dataset, side, trend.method, trend.n, *bounds, word))
    return table("asymmetry_slopes", "Agreement with the teacher over alpha", SLOPES, rows)
