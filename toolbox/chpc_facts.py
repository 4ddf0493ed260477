"""What chpc_train.sh must know of the JSON that kd-hpc and kd-analysis print."""

from __future__ import annotations

import json
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any


def rows(file: str) -> Any:
    """The JSON in `file`, after whatever a login shell printed before it. Raises ValueError if there is none."""
    lines = Path(file).read_text(errors="replace").splitlines()
    start = next((number for number, line in enumerate(lines) if line in ("{", "[", "[]", "{}")), len(lines))
    return json.loads("\n".join(lines[start:]))


def completed(file: str) -> list[str]:
    """Runs that are completed; `file` holds kd-hpc status --json."""
    return [row["run"] for row in rows(file)["runs"] if row["state"] == "completed"]


def closed(state: str, analysis: str) -> list[str]:
    """Runs of closed rounds that are not closed on the cluster: ROUND RUN; `state` holds the records there.

    The same run, and no later one of its name, is what began with the same job.
    """
    there = {path.parent.relative_to(state): path for path in Path(state).rglob("status.json")}
    return [
        f"{archive.parent.name.removeprefix('experiment_')} {run}"
        for archive in sorted(Path(analysis).glob("experiment_*/experiments"))
        for run, record in sorted(there.items())
        if (ours := archive / run / "status.json").is_file() and _beginning(ours) == _beginning(record)
    ]


def passed_over(state: str, experiments: str) -> list[str]:
    """Runs whose records there are not to be brought: "ahead RUN" if it is further here, "unreadable RUN".

    Which is further is told by what the records count, attempts first; never by a time, since clocks differ. A run that
    began anew there is another training, and no further here than there.
    """
    found = []
    for record in sorted(Path(state).rglob("status.json")):
        run, ours = record.parent.relative_to(state), Path(experiments) / record.relative_to(state)
        theirs, here = _standing(record), _standing(ours)
        if theirs is None:
            found.append(f"unreadable {run}")
        elif here is not None and here > theirs and _beginning(ours) == _beginning(record):
            found.append(f"ahead {run}")
    return found


def _standing(record: Path) -> tuple[int, int, int, int] | None:
    """How far a run is: attempts, how often its record was written, epochs, state; None if there is no record."""
    try:
        content = json.loads(record.read_bytes())
        attempts, epochs = content.get("attempts", []), content.get("warmup_epochs", 0) + content.get("epoch", 0)
        return len(attempts), int(content.get("revision", 0)), int(epochs), STATES.index(content["state"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _beginning(record: Path) -> object:
    """What tells a run from a later one of the same name: its first job, else its whole record."""
    content = record.read_bytes()
    with suppress(ValueError, LookupError, TypeError):
        first = json.loads(content)["attempts"][0]
        return first["token"] or first.get("job_id") or first.get("started_at") or content
    return content


def lost(file: str, listing: str) -> list[str]:
    """Completed runs whose status.json is not in `listing`, the paths that find printed on the cluster."""
    there = set(Path(listing).read_text(errors="replace").splitlines())
    return [run for run in completed(file) if f"./{run}/status.json" not in there]


def summary(plots: str, queue: str, grid: str) -> list[str]:
    """What a round did, in words; of a step that failed its file holds no JSON.

    The files hold kd-analysis plots --json, kd-hpc queue --json, kd-hpc status CAMPAIGN --json.
    """
    return [f"plotted {_drawn(plots)}, submitted {_submitted(queue)}, {_counts(grid)}"]


def _drawn(file: str) -> int:
    with suppress(ValueError):
        return sum(row["drawn"] for row in rows(file)["runs"])
    return 0


def _submitted(file: str) -> int:
    with suppress(ValueError):
        return sum(decision["action"] in SUBMISSIONS for decision in rows(file)["acted"])
    return 0


def _counts(file: str) -> str:
    try:
        states = Counter(row["state"] for row in rows(file)["runs"])
    except ValueError:
        return "runs unknown"
    needing = {state: number for state, number in states.items() if state in ("failed", "suspect", "unreadable")}
    words = [
        f"queued {states['queued'] + states['submitting']}",
        f"running {states['in_progress']}",
        f"finished {states['completed']} of {states.total()}",
        *(f"{state} {number}" for state, number in sorted(needing.items())),
    ]
    return ", ".join(words)


def remarks(file: str) -> list[str]:
    """What could not be done, in its own sentences; `file` holds kd-hpc queue --json, or nothing if that failed."""
    with suppress(ValueError):
        report = rows(file)
        return [*filter(None, [report["unreachable"]]), *report["unknown"], *report["problems"]]
    return []


SUBMISSIONS = ("submit", "resubmit")
STATES = ("not_started", "submitting", "queued", "in_progress", "failed", "suspect", "completed")
ANSWERS = {answer.__name__: answer for answer in (completed, closed, passed_over, lost, summary, remarks)}

if __name__ == "__main__":
    for line in ANSWERS[sys.argv[1]](*sys.argv[2:]):
        print(line)
