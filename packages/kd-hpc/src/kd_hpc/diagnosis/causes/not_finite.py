"""The loss became no number, and the program ended by itself, often with exit status 0."""

from __future__ import annotations

import re

from kd_hpc.diagnosis.case import Case, Cause, Finding, short

NOT_FINITE = Cause("not_finite")

_SAID = re.compile(
    r"^.*(?:loss\w*\s*(?:is|was|became|:|=|\||has)?\s*:?\s*[\"'(\[]?\s*(?:tensor\(\s*)?[-+]?(?:nan|inf(?:inity)?)\b"
    r"|loss is (?:NaN or )?(?:not finite|infinite)|non-finite loss|nan loss"
    r"|(?:NaN|Inf) (?:(?:found |detected )?in|for) (?:the )?loss).*$",
    re.MULTILINE | re.IGNORECASE,
)
_LAST_LINES = 200


def witness(case: Case) -> Finding | None:
    """A loss that was none at the end; one that was, and recovered, has other last words."""
    if case.gone.exit_status is not None and case.gone.exit_status >= 128:
        return None
    for words in (case.text, case.stdout):
        tail = words.splitlines()[-_LAST_LINES:]
        told = [number for number, line in enumerate(tail) if re.search(r"loss", line, re.IGNORECASE)]
        if told and (said := _SAID.match(tail[told[-1]])):
            mending = "Lower lr or the loss weights under [recipe]; kd-hpc retry --anew begins it again from epoch 0"
            return Finding(NOT_FINITE, f"its loss is no number: {short(said[0])}", case.after(mending))
    return None
