"""Why a dead job died: what it left behind -> cause, sentence, next command. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from kd_hpc.diagnosis.case import Case, Cause
from kd_hpc.diagnosis.witnesses import WITNESSES
from kd_hpc.job_output import of_attempt
from kd_hpc.schedulers.base import Gone


@dataclass(frozen=True)
class Diagnosis:
    """`charged`: counts against the run's budget of deaths. `next_memory`: the size to ask for, after a memory kill."""

    cause: Cause
    detail: str
    remedy: str
    charged: bool
    gained: int
    next_memory: str | None = None


def diagnose(
    gone: Gone | None,
    stderr: str,
    stdout: str = "",
    *,
    start_epoch: int | None = None,
    end_epoch: int | None = None,
    memory: str | None = None,
    token: str = "",
    run: str = "RUN",
    folder_problem: str = "",
) -> Diagnosis:
    """The death of one job; never raises.

    `gone` is the scheduler's word, None where there is none. The ends of stderr and stdout may begin with earlier
    attempts: with `token` only this job's part is heard. Epochs are finished ones at its start and end, None if it
    never began. `memory` is what it asked for ("16gb"); `run` goes into the commands.
    """
    case = Case(
        gone=gone or Gone("no word from a scheduler"),
        stderr=of_attempt(stderr, token),
        stdout=of_attempt(stdout, token),
        gained=max(0, (end_epoch or 0) - (start_epoch or 0)),
        memory=memory,
        run=run,
        folder_problem=folder_problem,
    )
    finding = next(finding for witness in WITNESSES if (finding := witness(case)))
    charged = case.gained == 0 and finding.cause.is_charged
    return Diagnosis(finding.cause, finding.detail, finding.remedy, charged, case.gained, finding.next_memory)
