"""The first screen: what the data show in a few sentences with numbers, one picture, and what to do next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from kd_analysis.accuracy.cell_model import CellModel
from kd_analysis.accuracy.effects import Effect
from kd_analysis.accuracy.names import fixed, show_alpha, show_method
from kd_analysis.accuracy.seeds import advise, design_curve
from kd_analysis.accuracy.trend_model import Trend
from kd_analysis.analysis import Analysis
from kd_analysis.report.document import Block, Bullets, Section, Text, p_words
from kd_analysis.report.sections.comparisons import forest
from kd_analysis.report.sections.seeds import advice_sentence
from kd_analysis.report.sections.transferred import transferred_sentence
from kd_analysis.stats.paired import Conclusion
from kd_hpc.triage.verdict import Verdict

DECIDED = (Conclusion.SUPPORTED, Conclusion.CONTRADICTED)
MOST = 4


def summary(analysis: Analysis) -> Section:
    """What the data show."""
    tree = analysis.tree
    if not tree.runs:
        text = "There are no runs in this folder yet: every section below is empty."
        return Section("summary", "What the data show", (Text(counted(analysis)), Text(text, "warning")), folded=False)
    blocks: list[Block] = [Text(banner, "warning") for banner in banners(analysis)]
    blocks.append(Bullets(tuple(sentences(analysis))))
    if picture := forest(analysis):
        blocks.append(picture)
    if steps := tuple(next_steps(analysis)):
        blocks += [Text("What to do next:"), Bullets(steps)]
    return Section("summary", "What the data show", tuple(blocks), folded=False)


def sentences(analysis: Analysis) -> Iterator[str]:
    """At most five or six, each with its numbers."""
    yield counted(analysis)
    yield from _cells(analysis)
    yield from _slopes(analysis.statistics.trends)
    yield from _over(analysis)
    yield from _could_show(analysis)
    yield from transferred_sentence(analysis)


def counted(analysis: Analysis) -> str:
    """How many runs there are, of how many, and what is wrong with the others."""
    tree = analysis.tree
    counts = Counter(item.verdict for item in tree.runs)
    others = ", ".join(f"{counts[v]} {_WORDS[v]}" for v in _WORDS if counts[v])
    rest = f" Not counted: {others}." if others else ""
    if analysis.campaign is None:
        return f"{tree.counted} of {tree.planned} runs here are finished, sound and counted.{rest}"
    missing = sum(identity not in tree.by_identity for identity in tree.expected)
    outside = f" {tree.unplanned} runs outside its plan are here too." if tree.unplanned else ""
    gone = f"; {missing} have no folder yet" if missing else ""
    return (
        f"{tree.counted} of the {tree.planned} runs that the campaign {analysis.campaign.name} plans are finished, "
        f"sound and counted{gone}.{rest}{outside}"
    )


_WORDS = {Verdict.FLAGGED: "quarantined", Verdict.FAILED: "failed", Verdict.UNFINISHED: "unfinished"}


def _cells(analysis: Analysis) -> Iterator[str]:
    """How many cells stand where, and those that are decided."""
    effects = [effect for model in analysis.statistics.models for effect in model.effects]
    if not effects:
        yield "No distilled student can be compared yet: none has a reference student of the same seed."
        return
    words = Counter(effect.conclusion for effect in effects)
    of = _reference_words(analysis.statistics.models)
    delta = analysis.smallest_effect
    counts = (
        f"{words[Conclusion.SUPPORTED]} above it, {words[Conclusion.CONTRADICTED]} below, "
        f"{words[Conclusion.EQUIVALENT]} equivalent within ±{delta:g} points, "
        f"{words[Conclusion.SUGGESTIVE] + words[Conclusion.INCONCLUSIVE]} undecided"
    )
    decided = sorted((e for e in effects if e.conclusion in DECIDED), key=lambda effect: effect.p_adjusted)
    named = "; ".join(map(effect_words, decided[:MOST]))
    more = f"; and {len(decided) - MOST} more" if len(decided) > MOST else ""
    text = f"Of {len(effects)} cells against the {of}: {counts}."
    yield f"{text} {named}{more}." if named else f"{text} {_largest(effects)}"


def effect_words(effect: Effect) -> str:
    cell = effect.cell
    side = "above" if effect.difference > 0 else "below"
    return (
        f"{show_method(cell.method)} at alpha {show_alpha(cell.alpha)} on {cell.setting.dataset} is "
        f"{fixed(abs(effect.difference), 2)} points {side} ({_bounds(effect.low, effect.high)}, adjusted "
        f"{p_words(effect.p_adjusted)}, n = {effect.n})"
    )


def _largest(effects: Iterable[Effect]) -> str:
    """Where nothing is decided, the cell that came nearest, so that nobody reads silence as sameness."""
    known = [effect for effect in effects if effect.low == effect.low]
    if not known:
        return "No interval can be given: one seed carries none."
    nearest = min(known, key=lambda effect: effect.p_adjusted)
    return f"The nearest to a conclusion: {effect_words(nearest)}. That is no evidence of no effect."


def _slopes(trends: tuple[Trend, ...]) -> Iterator[str]:
    if not trends:
        return
    decided = sorted((t for t in trends if t.conclusion in DECIDED), key=lambda trend: trend.p_adjusted)
    told = [
        f"{show_method(t.method)} on {t.setting.dataset} ({fixed(t.slope.estimate, 2, signed=True)} points per unit "
        f"alpha, {_bounds(t.slope.low, t.slope.high)}, adjusted {p_words(t.p_adjusted)})"
        for t in decided[:MOST]
    ]
    more = f" and {len(decided) - MOST} more" if len(decided) > MOST else ""
    rest = len(trends) - len(decided)
    if told:
        others = f"; the other {rest} of {len(trends)} slopes cannot be told from zero" if rest else ""
        yield f"Accuracy changes with alpha for {'; '.join(told)}{more}{others}."
    else:
        yield f"None of {len(trends)} slopes of accuracy over alpha can be told from zero."


def _over(analysis: Analysis) -> Iterator[str]:
    found = analysis.statistics.over
    sets = {each.setting.dataset for over in found for each in over.on}
    if not found:
        return
    if len(sets) < 2:
        yield f"All of this is about {', '.join(sets)}: one data set says nothing about another."
        return
    decided = [over for over in found if over.conclusion in (*DECIDED, Conclusion.EQUIVALENT)]
    told = "; ".join(
        f"{show_method(o.method)} {fixed(o.fixed.estimate, 2, signed=True)} ({_bounds(o.fixed.low, o.fixed.high)}, "
        f"{o.conclusion})"
        for o in decided[:MOST]
    )
    text = f"On average over these {len(sets)} data sets: "
    yield text + (f"{told}." if told else "no method's mean difference to the reference can be told from zero.")


def _could_show(analysis: Analysis) -> Iterator[str]:
    """The resolution: what the seeds there are could have shown."""
    found = []
    for model in analysis.statistics.models:
        seeds = min((effect.n for effect in model.effects), default=0)
        point = next((p for p in design_curve(model) if p.seeds == seeds), None)
        if point:
            found.append(f"{fixed(point.cell, 2)} on {model.setting.dataset}")
    if found:
        yield (
            f"Differences that these seeds find four times in five, points: {', '.join(found)}; the smallest of "
            f"interest is {analysis.smallest_effect:g}."
        )


def _reference_words(models: Iterable[CellModel]) -> str:
    return " or ".join(dict.fromkeys(model.reference.label for model in models))


def _bounds(low: float, high: float) -> str:
    if low != low:
        return "no interval"
    return f"{fixed(low, 2, signed=True)} to {fixed(high, 2, signed=True)}"


def banners(analysis: Analysis) -> Iterator[str]:
    """What a reader must know before any number."""
    other = [item for item in analysis.tree.runs if any(f.code == "other_recipe" for f in item.findings)]
    if other:
        yield (
            f"{len(other)} runs were trained with another recipe than the others of their data set or than the "
            "campaign says; a run of another recipe is another run, and is not counted: "
            f"{_named(item.run.path for item in other)}."
        )
    flagged = [item for item in analysis.tree.runs if item.verdict == Verdict.FLAGGED and item not in other]
    if flagged:
        yield (
            f"{len(flagged)} runs are quarantined and enter no statistic: {_named(item.run.path for item in flagged)} "
            "(see Triage)."
        )
    for setting in analysis.last.settings:
        teacher, student = analysis.last.teacher(setting), analysis.last.baseline(setting)
        worse = [seed for seed in sorted(set(teacher) & set(student)) if teacher[seed] < student[seed]]
        if worse and setting.teacher != setting.student:
            pairs = "; ".join(f"seed {seed}: {teacher[seed]:.2f} % against {student[seed]:.2f} %" for seed in worse)
            yield (
                f"{setting.dataset}: the teacher {setting.teacher} is worse than the pure student {setting.student} "
                f"({pairs})."
            )
    if analysis.tree.strays:
        places = "; ".join(f"{stray.path} {stray.reason}" for stray in analysis.tree.strays)
        yield f"Not read, and in no count below: {places}."


def _named(paths: Iterable[str], most: int = 6) -> str:
    names = list(paths)
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def next_steps(analysis: Analysis) -> Iterator[str]:
    """What would most help the next report."""
    tree = analysis.tree
    waiting = Counter(item.verdict for item in tree.runs)
    stuck = waiting[Verdict.FLAGGED] + waiting[Verdict.FAILED]
    if stuck:
        yield f"Look at the {stuck} runs under Triage that are quarantined or failed: kd-hpc why RUN."
    missing = sum(identity not in tree.by_identity for identity in tree.expected) + waiting[Verdict.UNFINISHED]
    if missing:
        yield f"Let the {missing} missing or unfinished runs finish before reading much into the rest."
    if any(not model.reference.is_hard for model in analysis.statistics.models):
        yield 'Add the control arm controls = ["hard"]: the pure student differs in label smoothing as well.'
    for model in analysis.statistics.models[:2]:
        choices = [a for a in advise(model, tree) if not a.everything] or list(advise(model, tree))
        enough = next(
            (a for a in choices if a.detectable <= analysis.smallest_effect), choices[-1] if choices else None
        )
        if enough:
            yield f"{model.setting.dataset}: {advice_sentence(enough)}."
