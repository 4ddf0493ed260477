"""kd-hpc status: reads what there is, and prints it as a screen, a list, or again and again."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kd_hpc.campaign import load_campaign
from kd_hpc.errors import FolderError, KdError
from kd_hpc.forecasting.forecast_text import ForecastText, look_ahead
from kd_hpc.inspection.nodes import node_warnings
from kd_hpc.inspection.overview import Overview, make_overview
from kd_hpc.inspection.overview_text import Screen
from kd_hpc.inspection.rows import HEADER, Row, read_rows
from kd_hpc.inspection.selection import Selection
from kd_hpc.queueing.session import remembered_campaigns
from kd_hpc.screen.escapes import control
from kd_hpc.screen.near import did_you_mean
from kd_hpc.screen.terminal import paint, print_table, screen_size
from kd_hpc.store import Store

TICK_SECONDS = 1800.0
"""How often somebody queues, where nobody says: half an hour, as cron does."""
_GLANCE_SECONDS = 2.0


@dataclass(frozen=True)
class Glance:
    """What somebody wants to see of the runs in `experiments`; `words` and `states` as typed."""

    experiments: Path
    campaign: Path | None
    words: Sequence[str]
    states: Sequence[str]

    @property
    def is_selective(self) -> bool:
        return bool(self.words or self.states)

    def rows(self) -> list[Row]:
        """The runs that are meant. Raises UsageError where a word means none."""
        self._require_folder()
        rows = read_rows(Store(self.experiments), self.campaign)
        return Selection(rows, self.experiments).select(self.words, self.states) if self.is_selective else rows

    def overview(self) -> Overview:
        """Everything at a glance, the forecast with it where there can be one."""
        rows = self.rows()
        ahead = self._forecast()
        campaign = load_campaign(self.campaign) if self.campaign else ahead.campaign if ahead else None
        title, now = campaign.name if campaign else str(self.experiments), datetime.now(UTC)
        warnings = node_warnings(rows, campaign, self.experiments, now)
        return make_overview(title, self.experiments, rows, ahead, now, warnings)

    def show(self, *, everything: bool) -> None:
        if self.is_selective:
            print_rows(self.rows())
            return
        seen = self.overview()
        print("\n".join(_screen(everything=everything).lines(seen)))
        if everything:
            print()
            print_rows(seen.rows)

    def watch(self) -> None:
        """Redraw until Ctrl-C; then leave the last picture on the ordinary screen. Raises SystemExit(130)."""
        if not sys.stdout.isatty():
            self.show(everything=False)
            return
        print(control("\x1b[?1049h\x1b[?25l"), end="")
        lines: list[str] = []
        try:
            while True:
                lines = _screen(everything=False).lines(self.overview())
                rest = control("\x1b[K")
                print(control("\x1b[H") + f"{rest}\n".join(lines) + rest + control("\x1b[J"), end="", flush=True)
                time.sleep(_GLANCE_SECONDS)
        except KeyboardInterrupt:
            raise SystemExit(130) from None
        finally:
            print(control("\x1b[?25h\x1b[?1049l"), end="")
            print("\n".join(lines), flush=True)
            print("No longer watching: nothing else has ended.", file=sys.stderr)

    def as_json(self) -> dict[str, Any]:
        if self.is_selective:
            return {"runs": [row.as_json() for row in self.rows()]}
        seen = self.overview()
        return {
            "runs": [row.as_json() for row in seen.rows],
            "totals": dict(seen.totals),
            "needs": [need.as_json() for need in seen.needs],
            "remarks": list(seen.remarks),
            "forecast": seen.forecast.as_json() if seen.forecast else None,
        }

    def _forecast(self) -> ForecastText | None:
        """The forecast of the campaign, else of the one queued last; None where there is neither."""
        known = [self.campaign] if self.campaign else remembered_campaigns(self.experiments)[:1]
        for path in known:
            try:
                return look_ahead(path, self.experiments, tick_seconds=TICK_SECONDS)
            except KdError:
                if self.campaign:
                    raise
        return None

    def _require_folder(self) -> None:
        """Raise FolderError where there are no runs and no campaign says which there will be."""
        if self.experiments.is_dir() or (self.campaign is not None and not self.experiments.exists()):
            return
        if self.experiments.exists():
            raise FolderError(f"{self.experiments} is a file.", remedy="Name the folder that holds the runs.")
        beside = [path.name for path in self.experiments.absolute().parent.glob("*/")]
        near = did_you_mean(self.experiments.name, beside)
        here = f" in {Path.cwd()}" if not self.experiments.is_absolute() else ""
        remedy = near or "Go where it is, name it with --experiments, or begin: kd-hpc queue campaigns/NAME.toml"
        raise FolderError(f"There is no folder {self.experiments}{here}.", remedy=remedy)


def split_words(words: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The campaign file among `words`, and the other words, which name runs."""
    files = [word for word in words if word.endswith(".toml") or Path(word).is_file()]
    return (Path(files[0]) if files else None), [word for word in words if word not in files[:1]]


def print_rows(rows: Sequence[Row]) -> None:
    """The list of `rows`, names whole."""
    print_table(HEADER, [row.cells() for row in rows], typed=("run",))


def _screen(*, everything: bool) -> Screen:
    """The terminal as it is now; in a pipe, as if it were one of 80 x 24. The last line is the prompt's."""
    columns, lines = screen_size()
    return Screen(columns, None if everything else lines - 1, paint, is_ascii=not _shows_signs())


def _shows_signs() -> bool:
    try:
        "■▶○·–✗…".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
