"""Paragraphs for a thesis chapter, of what the runs at hand show; a sentence that nothing shows is not written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kd_analysis.accuracy.names import HARD, is_variant, method_order, ordered, ordered_models, show_method
from kd_analysis.reading.history import LOG, RECORD, History
from kd_analysis.reading.runs_table import Tree
from kd_analysis.report.settings import Setting, settings_of
from kd_hpc.campaign import AnalysisSettings, Campaign
from kd_hpc.catalogue import DATASETS
from kd_hpc.triage.recipes import is_pure
from kd_hpc.triage.run_directory import Run
from kd_hpc.triage.verdict import Verdict
from kd_hpc.variant import format_alpha

MOST_NAMED = 5


def design(tree: Tree) -> Iterator[str]:
    """What was trained, and how much of it counts."""
    runs = [item.run for item in tree.runs]
    if not runs:
        yield "There are no runs yet."
        return
    datasets = ordered({run.identity.dataset for run in runs}, DATASETS)
    seeds = sorted({run.identity.seed for run in runs})
    yield (
        f"Networks were trained on {_number(len(datasets), 'data set')} ({listed(datasets)}) with "
        f"{_number(len(seeds), 'seed')} ({listed(map(str, seeds))}): {listed(_kinds(runs))}. {_counted(tree)}"
    )


def _kinds(runs: Sequence[Run]) -> Iterator[str]:
    teachers = {run.identity.teacher for run in runs if run.identity.teacher}
    of = {
        "teacher": [run for run in runs if is_pure(run.identity) and run.identity.student in teachers],
        "pure student": [run for run in runs if is_pure(run.identity) and run.identity.student not in teachers],
    }
    for name, group in of.items():
        if group:
            models = ordered_models({run.identity.student for run in group})
            yield f"{_number(len(group), name)} ({listed(models)})"
    ordinary = [run for run in runs if run.identity.teacher and not is_variant(run.identity.method)]
    if ordinary:
        yield f"{_number(len(ordinary), 'distilled student')} by {_methods(ordinary)}"
    variants = {run.identity.method for run in runs if is_variant(run.identity.method)}
    if variants:
        names = listed(map(show_method, sorted(variants)))
        yield f"{_number(sum(run.identity.method in variants for run in runs), 'run')} of other arms ({names})"


def _methods(runs: Sequence[Run]) -> str:
    methods = sorted({run.identity.method for run in runs}, key=method_order)
    alphas = sorted({run.identity.alpha for run in runs if run.identity.alpha is not None})
    unknown = sum(run.identity.alpha is None for run in runs)
    strengths = f" at alpha {listed(map(format_alpha, alphas))}" if alphas else ""
    silent = f" (the strength of {_number(unknown, 'run')} is not on record)" if unknown else ""
    return f"{_number(len(methods), 'method')} ({listed(map(show_method, methods))}){strengths}{silent}"


def _counted(tree: Tree) -> str:
    """Which of the runs enter results, and which do not."""
    verdicts = Counter(item.verdict for item in tree.runs)
    words = {Verdict.UNFINISHED: "unfinished", Verdict.FAILED: "failed", Verdict.FLAGGED: "quarantined"}
    left = [f"{verdicts[verdict]} {word}" for verdict, word in words.items() if verdicts[verdict]]
    counted = sum(item.usable for item in tree.runs)
    if not left:
        return f"All {counted} runs are finished and sound."
    return f"Of these {len(tree.runs)} runs {counted} are finished and sound and enter results; {listed(left)} do not."


def training(runs: Sequence[Run]) -> Iterator[str]:
    """The recipe, each setting tied to the runs it acts on."""
    ours = [run for run in runs if run.record and run.record.experiment and run.record.provenance.get("code_version")]
    found = settings_of(runs)
    if not found:
        yield "How the runs were trained is not on record."
        return
    by_name: dict[str, list[Setting]] = {}
    for setting in found:
        by_name.setdefault(setting.name, []).append(setting)
    if ours:
        yield " ".join(_recipe(by_name, len(ours), len(runs)))
    yield " ".join(_particular(by_name, runs))


def _recipe(by_name: Mapping[str, Sequence[Setting]], ours: int, every: int) -> Iterator[str]:
    def told(name: str) -> str:
        return values(by_name.get(name, ()))

    who = "All runs" if ours == every else f"{ours} of {every} runs"
    yield (
        f"{who} were trained by kd-core for {told('epochs')} epochs with stochastic gradient descent (momentum "
        f"{told('momentum')}, weight decay {told('weight decay')}) on batches of {told('batch size')} images; the "
        f"learning rate began at {told('lr')} and fell to 0 by half a cosine over the epochs."
    )
    yield (
        "A distilled student minimises (1 - alpha) times the cross-entropy of the labels plus alpha times the terms of "
        "its method; its teacher is the network of the same data set and seed, with the weights that were best on the "
        "test set."
    )


def _particular(by_name: Mapping[str, Sequence[Setting]], runs: Sequence[Run]) -> Iterator[str]:
    """Settings that act on some runs alone, and those that nothing records."""
    for name in ("label smoothing", "temperature", "paraphraser epochs", "weights"):
        found = by_name.get(name, ())
        if found:
            yield f"{name.capitalize()}: {'; '.join(f'{each.value} for {each.acts_on}' for each in found)}."
    plain = any(is_pure(run.identity) for run in runs)
    distilled = any(run.identity.teacher for run in runs)
    hard = any(run.identity.method == HARD for run in runs)
    if plain and distilled and any(each.value != "0" for each in by_name.get("label smoothing", ())):
        beside = "; the control arm hard has none and shares all else with them" if hard else ""
        yield f"Distilled students are trained without label smoothing: pure ones differ in this, too{beside}."
    if "epochs" not in by_name and (
        finished := Counter(run.epochs for run in runs if run.record and run.record.is_done)
    ):
        counts = listed(f"{epochs} ({_number(count, 'run')})" for epochs, count in finished.most_common())
        yield f"Epochs of completed runs: {counts}."
    missing = [name for name in ("batch size", "lr", "momentum", "weight decay") if name not in by_name]
    if missing:
        words = {"lr": "learning rate"}
        yield f"Not on record: {listed(words.get(name, name) for name in missing)}, optimizer and schedule."


def values(found: Iterable[Setting]) -> str:
    """One value, or several with the number of runs of each."""
    each = list(found)
    if not each:
        return "(not on record)"
    if len(each) == 1:
        return each[0].value
    return " or ".join(f"{setting.value} ({_number(setting.runs, 'run')})" for setting in each)


def evaluation(runs: Sequence[Run], campaign: Campaign | None) -> Iterator[str]:
    """How kd-analysis turns runs into results; of any runs."""
    if not runs:
        return
    smallest = (campaign.analysis if campaign else AnalysisSettings()).smallest_effect
    yield (
        "Accuracy is that on the whole test set after the last epoch. The best epoch is chosen on the test set, "
        "therefore optimistic, and reported beside it only. Runs are judged before any number is computed; those that "
        "are unfinished, failed or quarantined enter no statistic."
    )
    yield (
        "For each data set one linear model, accuracy = cell + seed + error, is fitted to the runs of the student; a "
        "cell is a method at one alpha, and seeds are blocks. Cells are compared with the reference student by "
        "simultaneous 95 % intervals (Dunnett) with the pooled error, or, where the spread of cells differs "
        "(Brown-Forsythe), by each cell's own paired differences with Holm's adjustment. Slopes of accuracy over alpha "
        "are tested on both sides, with Holm's adjustment over the methods of a data set. A difference is called "
        f"equivalent if two one-sided tests place it within ±{smallest:g} points. Intervals are about the spread of "
        "seeds; that the test set is a sample, too, is not in them."
    )


def execution(histories: Mapping[str, History]) -> Iterator[str]:
    """When the runs were at work, what went on, what died."""
    found = {path: history for path, history in histories.items() if history.attempts}
    if not found:
        yield "Neither records nor logs tell how and when the runs were at work."
        return
    yield " ".join((*_when(found), *_continued(found), *_died(found)))


def _when(found: Mapping[str, History]) -> Iterator[str]:
    starts = [moment for history in found.values() for moment in history.starts]
    ends = [history.ended for history in found.values() if history.ended]
    dated = [history for history in found.values() if history.starts]
    if starts:
        first, last = min(starts), max([*starts, *ends])
        span = f"on {_day(first)}" if first.date() == last.date() else f"from {_day(first)} to {_day(last)}"
        sources = Counter(history.source for history in dated)
        said = listed(f"{_number(sources[name], name)}" for name in (RECORD, LOG) if sources[name])
        yield f"Training took place {span} ({said})."


def _day(moment: object) -> str:
    return f"{moment:%d %B %Y}".lstrip("0")


def _continued(found: Mapping[str, History]) -> Iterator[str]:
    again = sum(history.attempts > 1 for history in found.values())
    resumed = [f"{path} after epoch {epoch}" for path, history in found.items() for epoch in history.resumed]
    if not again and not resumed:
        yield f"Each of the {len(found)} runs of which this is known was trained in one attempt."
        return
    yield f"{_number(again, 'run')} of {len(found)} needed more than one attempt."
    if resumed:
        yield f"Training was continued from a checkpoint {_number(len(resumed), 'time')}: {_named(resumed)}."


def _died(found: Mapping[str, History]) -> Iterator[str]:
    ends = [(path, end) for path, history in found.items() for end in history.early]
    if ends:
        causes = Counter(end.cause for _, end in ends)
        counts = listed(f"{count} by {cause.replace('_', ' ')}" for cause, count in causes.most_common())
        told = _named([f"{path} ({end.detail.rstrip('.')})" for path, end in ends])
        yield f"{_number(len(ends), 'attempt')} ended early, {counts}: {told}."


def _named(items: Sequence[str]) -> str:
    more = len(items) - MOST_NAMED
    return "; ".join(items[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


def listed(items: Iterable[str]) -> str:
    """a, b and c."""
    found = list(items)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}" if found else "none"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
