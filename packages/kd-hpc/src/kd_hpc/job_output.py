"""One output file, many attempts: the line that tells them apart, and the part that one attempt wrote.

Schedulers append to `logs` and `errors` of a run, so each job's script writes its banner to both before anything else.
"""

from __future__ import annotations

import re

_BANNER = re.compile(r"^== kd job (\S+) ==$", re.MULTILINE)


def banner(token: str) -> str:
    """The line with which the output of the attempt with `token` begins."""
    return f"== kd job {token} =="


def of_attempt(output: str, token: str) -> str:
    """What the attempt with `token` wrote into `output`: all of it in a file without banners, and without a token."""
    if not token or not _BANNER.search(output):
        return output
    parts = _BANNER.split(output)
    return "".join(text for name, text in zip(parts[1::2], parts[2::2], strict=True) if name == token)
