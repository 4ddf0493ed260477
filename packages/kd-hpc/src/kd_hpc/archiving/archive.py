"""Closing a round: its runs go into analysis/experiment_NAME, with a page; the next round begins with an empty folder.

Each step leaves something that the same command finds again, so a kill anywhere is mended by typing it once more.
Nothing is ever deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from kd_hpc.archiving.closed_campaigns import JOURNAL, campaigns_with_runs
from kd_hpc.archiving.closed_run import read_round
from kd_hpc.archiving.move_folder import is_compared, relocate, require_movable
from kd_hpc.archiving.page import INVITATION, authors_words, page
from kd_hpc.archiving.readme_section import BEGIN, END, between, next_section, replaced
from kd_hpc.campaign import Campaign
from kd_hpc.disk import locks
from kd_hpc.disk.files import publish_bytes, publish_text, quarantine
from kd_hpc.disk.sealed import object_bytes, read_object
from kd_hpc.errors import Damaged, FolderError, RunOwned, StoreError, UsageError
from kd_hpc.experiment import check_name
from kd_hpc.interventions.liveness import MayLive, may_live
from kd_hpc.queueing.runner import CONTROL, tick_lock
from kd_hpc.store import Store

NO_JOB = "--no-job-is-alive"


@dataclass(frozen=True)
class Round:
    """The round `name` whose runs lie, or lay, in `experiments`; everything else lies beside that folder."""

    name: str
    experiments: Path

    @cached_property
    def source(self) -> Path:
        """The folder itself where `experiments` is a link to it, as to a scratch file system."""
        return self.experiments.resolve()

    @property
    def root(self) -> Path:
        return self.experiments.absolute().parent

    @property
    def place(self) -> Path:
        """Relative to the root."""
        return Path("analysis", f"experiment_{self.name}")

    @property
    def folder(self) -> Path:
        return self.root / self.place

    @property
    def runs(self) -> Path:
        return self.folder / "experiments"

    @property
    def page(self) -> Path:
        return self.folder / "README.md"

    @property
    def aside(self) -> Path:
        """Where the original stays when the archive, on another file system, holds a copy."""
        return self.source.with_name(f"{self.source.name}.archived_{self.name}")

    @property
    def is_moved(self) -> bool:
        """True if no run of this round lies in `experiments` any more."""
        return self.runs.exists() or is_compared(self.runs, self.aside)

    @property
    def journal(self) -> Path:
        return self.folder / JOURNAL

    @property
    def former_section(self) -> Path:
        return self.folder / "campaign-section.md"

    @property
    def readme(self) -> Path:
        return self.root / "README.md"


def open_round(name: str, experiments: Path) -> Round:
    """The round, after checking that it can be closed or is being closed. Raises UsageError or FolderError."""
    check_name("name", name)
    found = Round(name, experiments)
    begun = _journal(found)
    if begun and begun["experiments"] != found.experiments.absolute().name:
        raise UsageError(
            f"{found.folder} is the archive of the runs in {begun['experiments']}, not in {experiments}.",
            remedy="Choose another name.",
        )
    if found.runs.exists() and not begun:
        raise FolderError(f"{found.runs} exists, and this command did not make it.", remedy="Choose another name.")
    if not found.is_moved:
        if not any(Store(found.source).run_directories()):
            raise UsageError(
                f"There is no run in {experiments}: nothing to close.",
                remedy="Name the folder that holds them: --experiments FOLDER",
            )
        require_movable(found.source, found.runs, found.aside)
    return found


def require_nobody_at_work(found: Round, *, word_given: bool) -> None:
    """Raise RunOwned while a job of the round may be alive. `word_given`: a person knows that doubtful ones are not."""
    if found.is_moved:
        return
    lively = list(may_live(Store(found.source)))
    proven = [run for run in lively if run.proven]
    if proven:
        raise RunOwned(_listed(proven), remedy="\nWait for them, or end them: kd-hpc cancel RUN")
    if lively and not word_given:
        raise RunOwned(_listed(lively), remedy=f"\nIf you know that nothing works on them, say so: {NO_JOB}")


def steps(found: Round, *, runs_only: bool) -> Iterator[str]:
    """What closing the round would do, as sentences."""
    if not found.runs.exists():
        count = sum(1 for _ in Store(found.source).run_directories())
        yield f"move {found.experiments}, {count} runs, to {found.place / 'experiments'}"
        yield f"make a fresh {found.experiments}"
    if runs_only:
        return
    yield f"write {found.place / 'README.md'} from the records"
    if not _is_closed(found):
        kept = f"; the old text is kept in {found.place / found.former_section.name}"
        has = _section(found) is not None
        yield "replace the campaign section of README.md" + kept if has else _no_section(found)


def close(
    found: Round, upcoming: tuple[Path, Campaign] | None, *, word_given: bool, runs_only: bool = False
) -> Iterator[str]:
    """Do what is left to do, one sentence after each step. Raises RunOwned, LockHeld or StoreError.

    `runs_only` leaves page and README to a later call without it.
    """
    _make(found.folder)
    with locks.held(found.folder / ".closing"):
        if not _journal(found):
            _write_journal(found, campaigns=" ".join(campaigns_with_runs(found.source)), started_at=_now())
        if not found.runs.exists():
            yield from _move(found, word_given=word_given)
        if not _is_closed(found):
            _make(found.source)
        if runs_only:
            yield f"the runs of {found.name} are in {found.place / 'experiments'}; README.md is as it was"
            return
        if not _is_closed(found):
            _keep_section(found)
        yield _write_page(found)
        if not _is_closed(found):
            yield _replace_section(found, upcoming)
            _write_journal(found, **_journal(found), closed_at=_now())
            return
    others = sum(1 for _ in Store(found.source).run_directories())
    yield f"{found.name} was closed before" + (
        f"; the {others} runs in {found.experiments} are of another round: close it by another name" if others else ""
    )


def _move(found: Round, *, word_given: bool) -> Iterator[str]:
    if found.is_moved:
        relocate(found.source, found.runs, found.aside)
    else:
        with tick_lock(found.source / CONTROL):
            require_nobody_at_work(found, word_given=word_given)
            relocate(found.source, found.runs, found.aside)
    count = sum(1 for _ in Store(found.runs).run_directories())
    yield f"moved {found.experiments}, {count} runs, to {found.place / 'experiments'}"
    if found.aside.exists():
        yield f"the original, on another file system, stays as {found.aside}: delete it when you are sure"


def _write_page(found: Round) -> str:
    closed_on = _journal(found)["started_at"][:10]
    text = page(found.name, *read_round(found.runs), closed_on, _words(found), _former(found))
    publish_text(found.page, text)
    return f"wrote {found.place / 'README.md'}"


def _words(found: Round) -> str:
    """The author's words in the page there is; a page that lost its marks is put aside whole."""
    if not found.page.exists():
        return INVITATION
    words = authors_words(found.page.read_text(encoding="utf-8"))
    if words is None:
        quarantine(found.page, "the marks around the author's words are gone: copy what is yours into the new page")
    return INVITATION if words is None else words


def _keep_section(found: Round) -> None:
    section = _section(found)
    if section is not None and not _is_next(found, section):
        publish_text(found.former_section, section)


def _replace_section(found: Round, upcoming: tuple[Path, Campaign] | None) -> str:
    section = _section(found)
    if section is None:
        return _no_section(found)
    if not _is_next(found, section):
        following = next_section(found.name, found.place / "README.md", upcoming)
        publish_text(found.readme, replaced(found.readme.read_text(encoding="utf-8"), following))
    return f"replaced the campaign section of README.md; the old text is in {found.place / found.former_section.name}"


def _section(found: Round) -> str | None:
    """The README's campaign section; None if it has none."""
    try:
        return between(found.readme.read_text(encoding="utf-8"), BEGIN, END)
    except (OSError, UnicodeDecodeError):
        return None


def _is_next(found: Round, section: str) -> bool:
    return f"({found.place / 'README.md'})" in section


def _no_section(found: Round) -> str:
    return f"leave README.md as it is: it has no part between {BEGIN} and {END}"


def _former(found: Round) -> str | None:
    return found.former_section.read_text(encoding="utf-8") if found.former_section.exists() else None


def _journal(found: Round) -> dict[str, str]:
    """What is known of the closing; empty if it was not begun."""
    try:
        return read_object(found.journal)
    except FileNotFoundError:
        return {}
    except (OSError, Damaged) as error:
        raise StoreError(f"{found.journal} is unreadable: {error}.", remedy="Mend it or move it away.") from None


def _write_journal(found: Round, **entries: str) -> None:
    publish_bytes(found.journal, object_bytes({"experiments": found.experiments.absolute().name, **entries}))


def _is_closed(found: Round) -> bool:
    return "closed_at" in _journal(found)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FolderError(f"{folder} cannot be made: {error.strerror}.", remedy="Fix its permissions.") from None


def _listed(runs: list[MayLive], limit: int = 5) -> str:
    shown = "".join(f"\n  {run.run}: {run.says}" for run in runs[:limit])
    more = f"\n  ... and {len(runs) - limit} more" if len(runs) > limit else ""
    return f"The round cannot be closed: {len(runs)} runs may have a job.{shown}{more}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
