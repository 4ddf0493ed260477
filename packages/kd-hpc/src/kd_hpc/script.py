"""A job's bash script: JobSpec -> text. Every value in it is quoted; nothing in it is ever expanded by the shell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from shlex import join, quote

from kd_hpc.claim import TOKEN_VARIABLE
from kd_hpc.schedulers.base import JobSpec, banner

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_MODULE_COMMAND = """\
for setup in /etc/profile.d/modules.sh /etc/profile.d/lmod.sh "${MODULESHOME:-}/init/bash"; do
    type module >/dev/null 2>&1 || { [ -r "$setup" ] && . "$setup"; }
done"""


def job_script(spec: JobSpec) -> str:
    """The script of the job `spec`. It says whose output follows, prepares, and becomes the trainer.

    The shell is replaced by the trainer, so the scheduler's signals reach it and its exit status is the job's.
    """
    return "\n".join(["#!/bin/bash", *_banner(spec.token), *_environment(spec), f"exec {join(spec.command)}", ""])


def _banner(token: str) -> Iterator[str]:
    line = quote(banner(token))
    yield f"printf '%s\\n' {line}"
    yield f"printf '%s\\n' {line} >&2"


def _environment(spec: JobSpec) -> Iterator[str]:
    yield from (_export(name, str(spec.resources.cores)) for name in THREAD_VARIABLES)
    yield _export(TOKEN_VARIABLE, spec.token)
    yield _export("PYTHONUNBUFFERED", "1")
    yield from _modules(spec.resources.modules)
    if spec.resources.venv:
        yield f'export PATH={quote(spec.resources.venv + "/bin")}:"$PATH"'


def _modules(modules: Iterable[str]) -> Iterator[str]:
    for number, module in enumerate(modules):
        if number == 0:
            yield _MODULE_COMMAND
        said = quote(f"error: module load {module} failed. See which there are with: module avail")
        yield f"module load {quote(module)} || {{ printf '%s\\n' {said} >&2; exit 1; }}"


def _export(name: str, value: str) -> str:
    return f"export {name}={quote(value)}"
