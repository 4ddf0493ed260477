"""The page of a closed round, from its records alone: scope, grid, recipe, results, failures, issues, dates.

What the author writes between two marks belongs to the author: it is carried over whenever the page is written again.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean
from typing import Any

from kd_hpc.archiving.closed_run import ClosedRun
from kd_hpc.archiving.readme_section import between
from kd_hpc.archiving.student_t import t_interval
from kd_hpc.records import NOT_SETTINGS
from kd_hpc.screen.escapes import markdown, markdown_code
from kd_hpc.triage.find_runs import Stray

WORDS_BEGIN, WORDS_END = "<!-- the author's words: begin -->", "<!-- the author's words: end -->"
INVITATION = "\n*Yours: why this round was run, what it taught. Written again, the page keeps what stands here.*\n"
_VERSIONS = ("code_version", "python", "torch", "cuda", "gpu", "device", "dtype", "deterministic")

Rows = Iterable[Sequence[object]]


def page(
    name: str,
    runs: Sequence[ClosedRun],
    strays: Sequence[Stray],
    closed_on: str,
    words: str,
    former_section: str | None,
) -> str:
    """The whole page in Markdown. `words` are the author's, `former_section` what the README said of the round."""
    parts = [f"# Experiment {name}", "", *_scope(runs, closed_on), "", WORDS_BEGIN + words + WORDS_END, ""]
    for title, lines in (
        ("Grid", _grid(runs)),
        ("Recipe", _recipe(runs)),
        ("Results", _results(runs)),
        ("Failures and their causes", _failures(runs)),
        ("Known issues", _issues(runs, strays)),
        ("What the README said while it ran", [former_section.strip()] if former_section else []),
    ):
        if listed := list(lines):
            parts += [f"## {title}", "", *listed, ""]
    return "\n".join(parts).rstrip() + "\n"


def authors_words(text: str) -> str | None:
    """What the author wrote into a page; None if the marks are gone."""
    return between(text, WORDS_BEGIN, WORDS_END)


def _scope(runs: Sequence[ClosedRun], closed_on: str) -> Iterator[str]:
    states = Counter(run.run.state for run in runs)
    days = sorted(day for run in runs for day in run.dates)
    when = f"first trace {days[0]}, last trace {days[-1]}, " if days else "no date on record, "
    yield f"{len(runs)} runs: {', '.join(f'{count} {state}' for state, count in sorted(states.items()))}."
    yield f"Dates: {when}closed {closed_on}."
    yield ""
    yield f"- data sets: {_names(run.identity.dataset for run in runs)}"
    yield f"- methods: {_names(run.identity.method for run in runs)}"
    yield f"- models: {_names(run.models for run in runs)}"
    yield f"- alphas: {_names(run.strength for run in runs if not run.identity.is_pure)}"
    yield f"- seeds: {_names(str(run.identity.seed) for run in runs)}"


def _grid(runs: Sequence[ClosedRun]) -> Iterator[str]:
    yield "Seeds of the runs there are; (in brackets) those that were not completed or are not counted."
    yield ""
    datasets = sorted({run.identity.dataset for run in runs})
    rows: dict[tuple[str, str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for run in sorted(runs, key=lambda run: _order(run)[1:]):
        seed, method, dataset = run.identity.seed, run.identity.method, run.identity.dataset
        rows[method, run.strength, run.models][dataset].append(str(seed) if run.counts else f"({seed})")
    cells = ((*key, *(" ".join(found[dataset]) for dataset in datasets)) for key, found in rows.items())
    yield from _table(("method", "alpha", "models", *datasets), cells)


def _recipe(runs: Sequence[ClosedRun]) -> Iterator[str]:
    kept = [{k: v for k, v in run.settings.items() if k not in NOT_SETTINGS} for run in runs if run.settings]
    yield from _settings(kept, "No run recorded its settings.")
    trained = sorted({run.record.epoch for run in runs if run.record and run.is_completed})
    yield f"- epochs of completed runs: {', '.join(map(str, trained)) or 'none'}"
    yield "- what is not listed here is not on record"
    known = [run.record.provenance for run in runs if run.record and run.record.provenance]
    yield ""
    versions = [{name: found[name] for name in _VERSIONS if name in found} for found in known]
    yield from _settings(versions, "Software versions and hardware: not on record.")


def _settings(found: Sequence[dict[str, Any]], without: str) -> Iterator[str]:
    if not found:
        yield without
    for name in dict.fromkeys(name for settings in found for name in settings):
        values = Counter(_shown(settings[name]) for settings in found if name in settings)
        if len(values) == 1:
            yield f"- {name}: {next(iter(values))}"
        else:
            yield f"- {name}: " + ", ".join(f"{value} ({n} runs)" for value, n in sorted(values.items()))


def _results(runs: Sequence[ClosedRun]) -> Iterator[str]:
    """One row a cell, over seeds."""
    yield "Test accuracy in percent after the last epoch: mean over seeds, with the 95 % interval of Student's t where"
    yield "n > 1 and seeds differ: seeds that agree exactly show the grain of the test set, not how far seeds spread."
    yield "The best epoch was chosen on the test set and stands beside it for that reason only."
    yield ""
    cells: dict[tuple[str, str, str, str], list[ClosedRun]] = defaultdict(list)
    for run in sorted(runs, key=_order):
        if run.counts:
            cells[_key(run)].append(run)
    if not cells:
        yield "No run of this round is completed and sound."
        return
    header = ("data set", "method", "alpha", "models", "n", "last epoch", "95 % interval", "best epoch")
    yield from _table(header, ((*key, *_cell(found)) for key, found in cells.items()))


def _cell(runs: Sequence[ClosedRun]) -> tuple[str, ...]:
    last = [run.run.acc_last for run in runs]
    best = [run.run.acc_best for run in runs if math.isfinite(run.run.acc_best)]
    interval = t_interval(last)
    why = "none: n = 1" if len(last) == 1 else "none: seeds agree"
    shown = f"{interval[0]:.2f} to {interval[1]:.2f}" if interval else why
    return (str(len(last)), f"{fmean(last):.2f}", shown, f"{fmean(best):.2f}" if best else "")


def _failures(runs: Sequence[ClosedRun]) -> Iterator[str]:
    rows = [(_Code(r.path), r.run.state, r.run.epochs, r.cause) for r in runs if not r.is_completed]
    if rows:
        yield from _table(("run", "state", "epochs", "cause"), rows)
    else:
        yield "Every run was completed."
    attempts = [attempt for run in runs if run.record for attempt in run.record.attempts]
    causes = Counter(attempt.cause for attempt in attempts if attempt.cause)
    yield ""
    if any(attempt.job_id for attempt in attempts):
        counted = ", ".join(f"{count} {cause}" for cause, count in sorted(causes.items())) or "none"
        jobs = len({attempt.job or place for place, attempt in enumerate(attempts)})
        shared = f" in {jobs} job{'' if jobs == 1 else 's'}" if jobs < len(attempts) else ""
        yield f"{len(attempts)} attempts for {len(runs)} runs{shared}; attempts that ended early: {counted}."
    else:
        yield "How often jobs were submitted again is not on record."


def _issues(runs: Sequence[ClosedRun], strays: Sequence[Stray]) -> Iterator[str]:
    for run in runs:
        if run.doubt:
            yield f"- {markdown_code(run.path)} is not counted: {_shown(run.doubt)}"
        if run.triaged.usable and not run.counts:
            yield f"- {markdown_code(run.path)} says completed, and no accuracy after the last epoch is on record"
    for stray in strays:
        yield f"- {markdown_code(stray.path or '.')} was not read as a run: {_shown(stray.reason)}"
    early = [run for run in runs if run.record and not run.record.experiment]
    if early:
        yield f"- {len(early)} records are of an earlier kind: no job, no times, no versions in them"
    if open_ended := [run for run in runs if run.record and run.record.state.has_job]:
        yield f"- {len(open_ended)} runs stand in their records as if a job were still at work"
    single = sorted({_key(run) for run in runs if run.counts})
    alone = [key for key in single if sum(_key(run) == key and run.counts for run in runs) == 1]
    if alone:
        yield f"- {len(alone)} of {len(single)} cells rest on one seed: nothing can be said of their spread"


def _key(run: ClosedRun) -> tuple[str, str, str, str]:
    return (run.identity.dataset, run.identity.method, run.strength, run.models)


def _order(run: ClosedRun) -> tuple[Any, ...]:
    what = run.identity
    return (what.dataset, not what.is_pure, what.method, what.alpha or 0.0, run.models, what.seed)


def _names(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values))) or "none"


def _table(header: Sequence[str], rows: Rows) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|" + "---|" * len(header)
    for row in rows:
        yield "| " + " | ".join(_shown(cell) for cell in row) + " |"


class _Code(str):
    """A name, to be shown as code."""


def _shown(value: object) -> str:
    """Text that neither ends a table cell nor reads as markup or as one of the page's marks."""
    return markdown_code(value) if isinstance(value, _Code) else markdown(str(value))
