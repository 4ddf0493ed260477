"""What a job is called: k + a tag of its run + the token of its attempt, 15 characters that qstat's tables show whole.

The token finds the attempt. The tag finds the run even where its record was lost, so that a job of it is not doubled. A
job that several runs share begins with s and has the tag of the one that leads it: others may be lost, too.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import NamedTuple

from kd_hpc.experiment import Experiment

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
TAG_LENGTH, TOKEN_LENGTH = 6, 8
_NAME = re.compile(rf"([ks])([{ALPHABET}]{{{TAG_LENGTH}}})([{ALPHABET}]{{{TOKEN_LENGTH}}})")


class JobName(NamedTuple):
    tag: str
    token: str
    is_shared: bool = False

    def __str__(self) -> str:
        return f"{'s' if self.is_shared else 'k'}{self.tag}{self.token}"


def new_token() -> str:
    """Unlike any other, by 39 random bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(TOKEN_LENGTH))


def tag(root: str, experiment: Experiment) -> str:
    """The same for ever for the same run in the experiments folder `root`; another folder's run has another."""
    number = int.from_bytes(hashlib.sha256(f"{root}\0{experiment.label}".encode()).digest()[:8])
    letters = []
    for _ in range(TAG_LENGTH):
        number, letter = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return "".join(letters)


def job_name(root: str, experiment: Experiment, token: str, *, is_shared: bool = False) -> str:
    """The name of a job that trains `experiment`, or that `experiment` leads."""
    return str(JobName(tag(root, experiment), token, is_shared))


def parse_job_name(name: str) -> JobName | None:
    """The parts of a name that `job_name` made; None for a job of anybody else's making."""
    match = _NAME.fullmatch(name)
    return JobName(match[2], match[3], match[1] == "s") if match else None


def age_order(job_id: str) -> tuple[int, str]:
    """Sort key of job ids: schedulers count upwards, so the oldest comes first."""
    number = re.match(r"\d+", job_id)
    return (int(number[0]) if number else 0, job_id)
