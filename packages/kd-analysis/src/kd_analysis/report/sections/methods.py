"""A paragraph a method: what its runs show, all data sets together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kd_analysis.accuracy.effects import Effect
from kd_analysis.accuracy.names import fixed, show_alpha, show_method
from kd_analysis.analysis import Analysis
from kd_analysis.report.document import Bullets, Section, Text, p_words
from kd_analysis.stats.paired import Conclusion
from kd_hpc.triage.verdict import Triaged, Verdict

WRONG = {
    "chance_level": "at chance level",
    "same_trajectory": "with a trajectory identical to another run's",
    "not_finite": "with losses that are no numbers",
    "flat_loss": "with a flat loss",
    "early_best": "best in the first tenth of their epochs",
    "other_recipe": "of another recipe",
    "config_contradicts_path": "whose configuration contradicts their path",
    "teacher_unfinished": "that learnt from an unfinished teacher",
    "crashed": "crashed",
}


def methods_section(analysis: Analysis) -> Section:
    """One line a method."""
    methods = sorted_methods(analysis)
    if not methods:
        return Section("methods", "Method by method", (Text("No distilled run yet."),), folded=False)
    lines = tuple(f"{show_method(method)}: {' '.join(_told(analysis, method))}" for method in methods)
    return Section("methods", "Method by method", (Bullets(lines),), folded=False)


def sorted_methods(analysis: Analysis) -> Sequence[str]:
    return analysis.last.methods


def _told(analysis: Analysis, method: str) -> Iterator[str]:
    runs = [item for item in analysis.tree.runs if item.run.identity.method == method]
    counted = sum(item.usable for item in runs)
    yield f"{counted} of {len(runs)} runs counted{_why(runs)}."
    effects = [e for model in analysis.statistics.models for e in model.effects if e.cell.method == method]
    if effects:
        yield _effects(effects)
    yield from _slopes(analysis, method)


def _why(runs: Sequence[Triaged]) -> str:
    """What is wrong with those that are not."""
    bad = [item for item in runs if item.verdict in (Verdict.FLAGGED, Verdict.FAILED)]
    found = {
        words: count
        for code, words in WRONG.items()
        if (count := sum(any(finding.code == code for finding in item.findings) for item in bad))
    }
    told = ", ".join(f"{count} of {len(runs)} {words}" for words, count in found.items())
    unfinished = sum(item.verdict == Verdict.UNFINISHED for item in runs)
    more = f"{unfinished} unfinished" if unfinished else ""
    return f" ({', '.join(filter(None, (told, more)))})" if told or more else ""


def _effects(effects: Sequence[Effect]) -> str:
    """The range of its differences, and the cells that are decided."""
    low, high = (pick(effects, key=lambda effect: effect.difference) for pick in (min, max))
    span = f"Differences from {_at(low)} to {_at(high)}" if len(effects) > 1 else f"Difference {_at(low)}"
    groups = {
        word: [effect for effect in effects if effect.conclusion == word]
        for word in (Conclusion.SUPPORTED, Conclusion.CONTRADICTED, Conclusion.EQUIVALENT, Conclusion.SUGGESTIVE)
    }
    told = "; ".join(f"{word}: {', '.join(map(_cell, found))}" for word, found in groups.items() if found)
    return f"{span}; {told or 'none decided'}."


def _at(effect: Effect) -> str:
    return f"{fixed(effect.difference, 2, signed=True)} ({_cell(effect)})"


def _cell(effect: Effect) -> str:
    return f"{effect.cell.setting.dataset} {show_alpha(effect.cell.alpha)}"


def _slopes(analysis: Analysis, method: str) -> Iterator[str]:
    found = [trend for trend in analysis.statistics.trends if trend.method == method]
    if found:
        told = ", ".join(
            f"{trend.setting.dataset} {fixed(trend.slope.estimate, 2, signed=True)} "
            f"({p_words(trend.p_adjusted)}, {trend.conclusion})"
            for trend in found
        )
        yield f"Slope over alpha: {told}."
