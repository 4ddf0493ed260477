"""How long something took or takes, as people say it."""

from __future__ import annotations

from datetime import UTC, datetime

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def short(seconds: float) -> str:
    """A span in at most eight letters: 45 s, 12 min, 3 h 10, 2.1 days."""
    if seconds < 2 * MINUTE:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.0f} min"
    if seconds < 2 * DAY:
        hours, minutes = divmod(round(seconds / MINUTE), 60)
        return f"{hours} h {minutes:02}"
    return f"{seconds / DAY:.1f} days"


def ago(when: datetime, now: datetime | None = None) -> str:
    """How long before `now` that was, in whole units: 3 hours ago."""
    seconds = max(0.0, ((now or datetime.now(UTC)) - when.astimezone(UTC)).total_seconds())
    for size, unit in ((DAY, "days"), (HOUR, "hours"), (MINUTE, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} seconds ago"
