"""Which runs are meant: by path, folder, pattern, job id, job's name or token, and by state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from kd_hpc.errors import UsageError
from kd_hpc.inspection.find_run import FoundRun, is_called
from kd_hpc.inspection.rows import STATES, Row, read_rows
from kd_hpc.screen.near import did_you_mean
from kd_hpc.store import Store

ALL_RUNS = "All runs: kd-hpc status --all"


def find_run(store: Store, word: str, campaign_file: Path | None = None) -> FoundRun:
    """The run that `word` names; of a job that several share, the one that leads it. Raises UsageError if none does."""
    return find_runs(store, [word], campaign_file=campaign_file)[0]


def find_runs(
    store: Store,
    words: Sequence[str],
    states: Sequence[str] = (),
    *,
    campaign_file: Path | None = None,
    worthwhile: Callable[[Row], bool] = lambda row: True,
) -> list[FoundRun]:
    """The runs that are meant, of the campaign and of whatever else lies below `store`; see `Selection.select`."""
    rows = read_rows(store, None, campaign_file)
    return [row.found for row in Selection(rows, store.root).select(words, states, worthwhile)]


def names_one(rows: Sequence[Row], words: Sequence[str]) -> bool:
    """True if one word names all of `rows` as one thing: the job that they share."""
    return len(words) == 1 and all(any(is_called(attempt, words[0]) for attempt in row.known.attempts) for row in rows)


class Selection:
    """Chooses among `rows`, the runs below the folder `root`."""

    def __init__(self, rows: Sequence[Row], root: Path) -> None:
        self._rows, self._root = rows, root

    def select(
        self, words: Sequence[str], states: Sequence[str] = (), worthwhile: Callable[[Row], bool] = lambda row: True
    ) -> list[Row]:
        """Rows that one of `words` names, all if there is none, of one of `states`, of any if there is none; each once.

        Of those that were not named one by one, only the `worthwhile`. Raises UsageError for a word that names no run,
        for a state that does not exist, and if nothing is left.
        """
        require_states(states)
        named = [found for word in words or ["*"] for found in self._named(word)]
        chosen = [row for row, is_exact in named if is_exact or worthwhile(row)]
        chosen = [row for row in {row.label: row for row in chosen}.values() if not states or row.state in states]
        if not chosen:
            which = f" among {', '.join(words)}" if words else f" in {self._root}"
            what = f"is {' or '.join(states)}" if states else "needs that"
            raise UsageError(f"No run{which} {what}.", remedy=ALL_RUNS)
        return chosen

    def _named(self, word: str) -> list[tuple[Row, bool]]:
        """The rows that `word` names, and whether it names just one run or job. Raises UsageError if it names none."""
        label = self._relative(word)
        for is_exact, meant in (
            (True, [row for row in self._rows if row.label == label]),
            (True, self._of_job(word)),
            (False, [row for row in self._rows if fnmatchcase(row.label, label) or row.label.startswith(f"{label}/")]),
        ):
            if meant:
                return [(row, is_exact) for row in meant]
        raise UsageError(f"No run in {self._root} is called {word!r}, and no job.", remedy=self._nearest(label))

    def _nearest(self, label: str) -> str:
        """What may have been meant: a level of some path, a run, or a folder of runs."""
        labels = [row.label for row in self._rows]
        if any(f"/{label}/" in f"/{known}/" for known in labels):
            return f"Did you mean '*/{label}/*'?"
        return did_you_mean(label, [*labels, *_folders(labels)]) or ALL_RUNS

    def _of_job(self, word: str) -> list[Row]:
        """The runs that the job `word` trains or trained, the one that leads it first."""
        found = [
            (_place(row.label, attempt.runs or ()), row)
            for row in self._rows
            for attempt in row.known.attempts
            if is_called(attempt, word)
        ]
        return [row for _, row in sorted(found, key=lambda pair: (pair[0], pair[1].label))]

    def _relative(self, word: str) -> str:
        """`word` as it would begin below the folder, which may have been typed, too."""
        whole, root = Path(word).absolute(), self._root.absolute()
        inside = whole.is_relative_to(root) and whole != root
        return str(whole.relative_to(root)) if inside else word.strip("/")


def _place(label: str, runs: Sequence[str]) -> int:
    return runs.index(label) if label in runs else 0


def require_states(states: Iterable[str]) -> None:
    """Raise UsageError for a state that does not exist."""
    for state in states:
        if state not in STATES:
            remedy = did_you_mean(state, STATES) or f"States are {', '.join(STATES)}."
            raise UsageError(f"No run is ever {state!r}.", remedy=remedy)


def _folders(labels: Iterable[str]) -> set[str]:
    """Every folder above a run."""
    parts = (label.split("/") for label in labels)
    return {"/".join(some[:depth]) for some in parts for depth in range(1, len(some))}
