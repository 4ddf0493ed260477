"""What is worth telling: runs that need a person, the end of a campaign, rounds that fail for a day. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kd_hpc.planning.decision import Action, Decision, Plan
from kd_hpc.remedies import with_folder

PATIENCE = timedelta(days=1)
"""So long rounds may fail before somebody is told."""


@dataclass(frozen=True)
class Event:
    """`key` is the same as long as the same thing lasts, so that it is told once. `text` is for people.

    That a run needs somebody lasts whatever its reason is called: a record that is set aside is so for another.
    """

    kind: str
    key: str
    title: str
    text: str
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The key as a file's name."""
        return f"{self.kind}-{hashlib.sha256(self.key.encode()).hexdigest()[:16]}"


def of_plan(campaign: str, plan: Plan, root: Path) -> list[Event]:
    """Everything about a plan for the runs below `root` that somebody should know, one event a cause."""
    events = [_need(campaign, same, root) for same in plan.needs]
    return [*events, _ended(campaign, plan)] if plan.is_settled else events


def of_failure(campaign: str, since: datetime, now: datetime, reason: str) -> list[Event]:
    """What to tell of rounds that have failed `since` then; nothing before a day has passed."""
    if now - since < PATIENCE:
        return []
    text = f"Since {since:%Y-%m-%d %H:%M} UTC no round of kd-hpc could do its work. The latest says: {reason}"
    details = {"since": since.isoformat(), "reason": reason}
    return [Event("unable", since.isoformat(), f"{campaign}: no round has worked for a day", text, details)]


def a_test(campaign: str) -> Event:
    """What `kd-hpc notify` sends, to see whether it arrives."""
    text = (
        "This is a test. You will be told when a run needs you, when the campaign ends, and when rounds fail for a day."
    )
    return Event("test", "", f"{campaign}: a test", text)


def _need(campaign: str, same: Sequence[Decision], root: Path) -> Event:
    first, remedy = same[0], with_folder(same[0].remedy, root)
    label, waiting = first.experiment.label, len(same) - 1
    also = f" ({waiting} more are concerned)" if waiting else ""
    lines = [f"{label}{also}: {first.reason}", *([f"Next: {remedy}"] if remedy else [])]
    details = {
        "runs": [decision.experiment.label for decision in same],
        "reason": first.reason,
        "remedy": remedy,
    }
    return Event("needs_person", label, f"{campaign}: {label} needs you", "\n".join(lines), details)


def _ended(campaign: str, plan: Plan) -> Event:
    done = sum(decision.action == Action.DONE for decision in plan.decisions)
    stopped = len(plan.decisions) - done
    rest = f", {stopped} need you" if stopped else ""
    text = f"{done} of {len(plan.decisions)} runs are completed{rest}; nothing more will happen by itself."
    details = {"completed": done, "stopped": stopped}
    return Event("ended", f"{done} {stopped}", f"{campaign} has ended", text, details)
