"""The text of a job script: bash, every value quoted, ending in the trainer itself so that signals reach it."""

from __future__ import annotations

import shlex

from kd_hpc.claim import JOB_ID_VARIABLE, TOKEN_VARIABLE
from kd_hpc.job_output import banner
from kd_hpc.schedulers.base import JobSpec

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Numeric libraries start as many threads as the node has cores unless told how many are the job's."""


def job_script(spec: JobSpec, job_id: str) -> str:
    """The script of `spec` for any scheduler. What the scheduler itself must know goes on its own command line.

    `job_id` names the variable in which the scheduler tells a job its id. The trainer gets no standard input: PBS feeds
    the script through it.
    """
    quoted = shlex.quote(banner(spec.token))
    lines = ["#!/bin/bash", f"echo {quoted}", f"echo {quoted} >&2", "umask 022"]
    lines += [f"export {TOKEN_VARIABLE}={shlex.quote(spec.token)}", f'export {JOB_ID_VARIABLE}="${job_id}"']
    lines += [f"export {name}={spec.resources.cores}" for name in THREAD_VARIABLES]
    if spec.resources.modules:
        lines += ["type module >/dev/null 2>&1 || source /etc/profile"]
        lines += [f"module load {shlex.quote(module)}" for module in spec.resources.modules]
    if spec.resources.venv:
        lines += [f"source {shlex.quote(spec.resources.venv + '/bin/activate')} || exit 127"]
    return "\n".join([*lines, f"exec -- {shlex.join(spec.command)} </dev/null", ""])
