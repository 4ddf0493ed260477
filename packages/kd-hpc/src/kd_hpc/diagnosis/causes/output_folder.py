"""The folder for the job's output was missing or could not be written: no node can start such a job."""

from __future__ import annotations

import re

from kd_hpc.diagnosis.case import Case, Cause, Finding, short
from kd_hpc.schedulers.base import NodeFault

OUTPUT_FOLDER = Cause("output_folder")

_SAID = re.compile(
    r"^.*(?:Unable to open standard (?:output|error)|Could not open std(?:out|err) file|couldn't chdir to).*$",
    re.MULTILINE,
)


def witness(case: Case) -> Finding | None:
    """PBS tries 21 times and then says only that the job failed to start, as if the node had."""
    line = case.last(_SAID)
    if not line and not (case.folder_problem and isinstance(case.gone.verdict, NodeFault)):
        return None
    why = case.folder_problem or short(line[0] if line else "")
    mending = "Make the folder writable, and its disk not full"
    return Finding(OUTPUT_FOLDER, f"its output could not be written: {why}", case.after(mending))
