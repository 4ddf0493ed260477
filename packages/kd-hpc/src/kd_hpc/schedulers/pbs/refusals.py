"""When a server said no: surely no job was made, and what to mend.

Whatever a living server answers that is no success is a refusal. Only where nobody can know whether it was the server
that spoke, or whether the connection broke after the job was made, is a submission uncertain.
"""

from __future__ import annotations

import re

from kd_hpc.schedulers.batch import without_remarks
from kd_hpc.schedulers.shell import Answer

_NO_ANSWER = re.compile(
    r"cannot connect|connection (?:refused|reset|timed out)|unknown host|timed? ?out|end of file|broken pipe"
    r"|communication failure|no route to host|protocol error|no reply|server disconnect|ports in use|pbs_iff"
    r"|Error \((?:-?\d{1,4}|150(?:1[01]|3[134]))\) submitting",
    re.IGNORECASE,
)
_REMEDIES = {
    1: "Mend the job script.",
    2: "Mend that value under [resources].",
    5: "Report this: kd-hpc mixes two ways of asking for resources.",
    6: "Report this: kd-hpc mixes two ways of asking for resources.",
    8: "Make the script readable.",
    32: "A rule of this site says so; mend project or what else it names under [resources].",
    38: "The queue holds as many of your jobs as it takes: wait for the next tick, or lower slots under [scheduler].",
    39: "Your jobs there ask for as much of it as you may: wait for the next tick, or ask for less under [resources].",
    154: "Report this: the server does not know an attribute that kd-hpc sets.",
    159: "Ask the administrators for access.",
    166: "Mend that value under [resources].",
    170: "Name an existing queue under [resources]; list them with: qstat -Q",
    173: "That queue is closed; name another under [resources]; list them with: qstat -Q",
    174: "You may not use that queue; name another under [resources], or check resources.project.",
    175: "Submit from a machine where your account may submit jobs.",
    187: "The server does not know that resource; mend [resources].",
    188: "Ask for less walltime, cores, memory or GPUs; the queue's limits: qstat -Qf QUEUE",
    189: "Write queue under [resources]; list them with: qstat -Q",
    198: "The queue is full of everybody's jobs: wait for the next tick, or name another under [resources].",
}
_ANY = "Mend what it names under [resources]; if it is no fault of yours, ask the cluster's support."


def remedy_of_refusal(answer: Answer) -> str | None:
    """What to do after a qsub that the server refused; None if it is not sure that it did."""
    lines = without_remarks(answer.complaints)
    said_no = any(line.startswith("qsub: ") for line in lines)
    if answer.exit_status == 0 or not said_no or any(_NO_ANSWER.search(line) for line in lines):
        return None
    return _REMEDIES.get(answer.exit_status, _ANY)
