"""An overview as text for a terminal of a given size: one screen, unless everything is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import chain
from textwrap import wrap

from kd_hpc.inspection.grid import Grid, Line, Mark, mark_of
from kd_hpc.inspection.overview import AtWork, Need, Overview
from kd_hpc.inspection.rows import Row
from kd_hpc.screen.durations import ago, short
from kd_hpc.screen.terminal import rows_of

Paint = Callable[[str, str], str]
SIGNS = {
    Mark.COMPLETED: ("■", "#", "green"),
    Mark.RUNNING: ("▶", ">", "cyan"),
    Mark.QUEUED: ("○", "o", "cyan"),
    Mark.TO_COME: ("·", ".", "dim"),
    Mark.HELD_UP: ("–", "-", "yellow"),
    Mark.FAILED: ("✗", "!", "red"),
    Mark.DOUBTFUL: ("?", "?", "red"),
}
"""Each mark's sign, its substitute where a terminal cannot show that, and its colour."""
_STALE_SECONDS = 7200.0


class Screen:
    """Lays an overview out for `columns` x `lines`; without `lines`, everything is shown."""

    def __init__(self, columns: int, lines: int | None, paint: Paint, *, is_ascii: bool = False) -> None:
        self.columns, self.room, self.paint, self._ascii = columns, lines, paint, is_ascii

    def lines(self, seen: Overview) -> list[str]:
        """What to print, line by line. Only names and commands may be wider than the terminal, which wraps them."""
        head = [*self._head(seen), *self._totals(seen)]
        grid = list(self._grid(seen.grid))
        if self.room is None:
            return [*head, "", *grid, "", *self._at_work(seen, None), *self._needs(seen, None)]
        free = self.room - len(head) - len(grid) - 2
        needs = self._needs(seen, max(1, free - min(len(seen.at_work) + 1, free // 2)))
        at_work = self._at_work(seen, free - self._height(needs))
        below = [*at_work, *needs]
        return [*head, "", *grid, *([""] if below else []), *below]

    # -- the head --

    def _head(self, seen: Overview) -> Iterator[str]:
        title, ends = f"{seen.title}: {len(seen.rows)} runs", _ends(seen)
        together = "; ".join(filter(None, (title, ends)))
        yield from (
            self.paint(line, "bold") for line in ([together] if len(together) <= self.columns else [title, ends])
        )
        if seen.newest and (seen.now - seen.newest).total_seconds() > _STALE_SECONDS and seen.at_work:
            yield self.paint(f"the newest record was written {ago(seen.newest, seen.now)}", "yellow")
        for remark in seen.remarks:
            yield from (self.paint(line, "yellow") for line in wrap(remark, self.columns))

    def _totals(self, seen: Overview) -> list[str]:
        """The legend of the grid, with numbers, in the words that --state takes."""
        by_state: dict[str, Row] = {}
        for row in seen.rows:
            by_state.setdefault(row.state, row)
        styles = {state: SIGNS[mark_of(row)][2] for state, row in by_state.items()}
        totals = seen.totals.items()
        return self._flow([(f"{self._legend(state, seen.rows)} {n} {state}", styles[state]) for state, n in totals])

    def _legend(self, state: str, rows: Sequence[Row]) -> str:
        marks = dict.fromkeys(mark_of(row) for row in rows if row.state == state)
        return "".join(self._sign(mark) for mark in marks)

    def _flow(self, words: Sequence[tuple[str, str]]) -> list[str]:
        """Words side by side, in as many lines as they need."""
        lines, width = [""], 0
        for text, style in words:
            gap = "  " if lines[-1] else ""
            if width + len(gap) + len(text) > self.columns and lines[-1]:
                lines, width, gap = [*lines, ""], 0, ""
            lines[-1] += gap + self.paint(text, style)
            width += len(gap) + len(text)
        return lines

    # -- the grid --

    def _grid(self, grid: Grid) -> Iterator[str]:
        if not grid.lines:
            return
        lines = self._shown(grid.lines)
        name = max(len(line.name) for line in lines)
        for cell in (_spaced, _dense, _counted):
            texts = [[cell(strengths) for strengths in line.cells] for line in lines]
            columns = zip(grid.datasets, *texts, strict=True)
            widths = [max(len(dataset), *map(len, column)) for dataset, *column in columns]
            if name + sum(width + 2 for width in widths) <= self.columns:
                break
        yield (" " * name + "".join(f"  {d:<{w}}" for d, w in zip(grid.datasets, widths, strict=True))).rstrip()
        for line, cells in zip(lines, texts, strict=True):
            padded = (self._signs(c) + " " * (w - len(c)) for c, w in zip(cells, widths, strict=True))
            yield f"{line.name:<{name}}  {'  '.join(padded).rstrip()}"
        if hidden := len(grid.lines) - len(lines):
            yield f"and {hidden} more lines: kd-hpc status --all"

    def _shown(self, lines: Sequence[Line]) -> Sequence[Line]:
        """All, or as many as leave half of the screen to the rest: then those where something happens."""
        most = len(lines) if self.room is None else max(8, self.room // 2)
        if len(lines) <= most:
            return lines
        busy = sorted(lines, key=lambda line: -_news(line))[: most - 1]
        return [line for line in lines if line in busy]

    def _signs(self, cell: str) -> str:
        """A cell with its marks as coloured signs, those of one kind together."""
        painted, run = "", ""
        for letter in [*cell, ""]:
            if run and letter != run[-1]:
                mark = _LETTERS.get(run[-1])
                painted += self.paint(self._sign(mark) * len(run), SIGNS[mark][2]) if mark else run
                run = ""
            run += letter
        return painted

    def _sign(self, mark: Mark) -> str:
        return SIGNS[mark][1 if self._ascii else 0]

    # -- what happens, and what does not --

    def _at_work(self, seen: Overview, room: int | None) -> list[str]:
        if not seen.at_work or (room is not None and room < 1):
            return []
        runs = sum(len(job.rows) for job in seen.at_work)
        head = f"{runs} in_progress" + (f" in {len(seen.at_work)} jobs" if runs > len(seen.at_work) else "")
        lines = [_job_line(job) for job in seen.at_work]
        shown = _fitting(lines, None if room is None else room - 1, self.columns)
        rest = len(lines) - len(shown)
        more = f", {rest} more: kd-hpc status --state in_progress" if rest else ""
        return [self.paint(f"{head}{more}", "cyan"), *shown]

    def _needs(self, seen: Overview, room: int | None) -> list[str]:
        if not seen.needs:
            return []
        stopped, waiting = sum(len(need.rows) for need in seen.needs), sum(need.holds_up for need in seen.needs)
        head = f"{stopped} need you" + (f", {waiting} wait for them" if waiting else "")
        lines: list[str] = []
        shown = 0
        for need in seen.needs:
            more = self._need(need)
            if room is not None and self._height([*lines, *more]) > room - 1:
                break
            lines, shown = [*lines, *more], shown + 1
        rest = len(seen.needs) - shown
        return [
            self.paint(
                head + (f"; {rest}{' more' if shown else ''} reasons: kd-hpc status --all" if rest else ""), "red"
            ),
            *lines,
        ]

    def _need(self, need: Need) -> list[str]:
        count = f"{len(need.rows)} {need.rows[0].state}" if len(need.rows) > 1 else need.rows[0].label
        waits = f" ({need.holds_up} wait for it)" if need.holds_up else ""
        before, name, command = need.remedy.partition("kd-hpc ")
        said = f"{count}{waits}: {need.reason}"
        lines = [_cut(said, self.columns)] if self.room is not None else [said]
        if not need.is_for_all:
            before = f"{before.rstrip()} for the first," if before else "for the first,"
        whole = f"  {before.rstrip()} {name}{command}" if before else f"  {name}{command}"
        if before and len(whole) > self.columns:
            return [*lines, _cut(f"  {before.rstrip()}", self.columns), f"  {name}{command}"]
        return [*lines, whole]

    def _height(self, lines: Sequence[str]) -> int:
        return sum(rows_of(line, self.columns) for line in lines)


def _ends(seen: Overview) -> str:
    """When everything is done, by the forecast; empty where there is none."""
    if seen.forecast is None:
        return ""
    if (ahead := seen.forecast.forecast) is None:
        return "" if seen.forecast.left else "nothing is left to train"
    even, sure = ((seen.forecast.now + timedelta(seconds=seconds)).astimezone() for seconds in (ahead.p50, ahead.p90))
    later = f"{sure:%H:%M}" if sure.date() == even.date() else f"{sure:%a %d %b}"
    return f"done by {even:%a %d %b %H:%M} (even odds), {later} (9 in 10)"


_LETTERS = {sign: mark for mark, (sign, _, _) in SIGNS.items()}


def _spaced(strengths: Sequence[Sequence[Row]]) -> str:
    return " ".join("".join(SIGNS[mark_of(row)][0] for row in seeds) for seeds in strengths)


def _dense(strengths: Sequence[Sequence[Row]]) -> str:
    return _spaced(strengths).replace(" ", "")


def _counted(strengths: Sequence[Sequence[Row]]) -> str:
    """Such as 7/9, where there is no room for a sign a run."""
    marks = Counter(mark_of(row) for row in chain.from_iterable(strengths))
    return f"{marks[Mark.COMPLETED]}/{marks.total()}" if marks else ""


def _news(line: Line) -> int:
    """How many runs of the line are neither completed nor still to come."""
    marks = [mark_of(row) for cell in line.cells for seeds in cell for row in seeds]
    return sum(mark not in (Mark.COMPLETED, Mark.TO_COME) for mark in marks)


def _job_line(job: AtWork) -> str:
    """Epoch and time first, the name last: it is never cut."""
    left = f"silent {short(job.silent)}" if job.silent is not None else "" if job.left is None else short(job.left)
    others = f" +{len(job.rows) - 1}" if len(job.rows) > 1 else ""
    return f"{job.leader.epochs:>8}  {left:>8}  {job.leader.label}{others}"


def _fitting(lines: Sequence[str], room: int | None, columns: int) -> list[str]:
    """The first of `lines` that fill no more than `room` rows of the terminal."""
    shown: list[str] = []
    for line in lines:
        if room is not None and sum(rows_of(one, columns) for one in (*shown, line)) > room:
            break
        shown.append(line)
    return shown


def _cut(text: str, columns: int) -> str:
    return text if len(text) <= columns else text[: columns - 1] + "…"
