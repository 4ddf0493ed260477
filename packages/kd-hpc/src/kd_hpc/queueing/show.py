"""Plans and reports for people (columns) and programs (JSON)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kd_hpc.planning.breaker import BadNode
from kd_hpc.planning.decision import Action, Decision, Plan
from kd_hpc.queueing.plan_text import grouped, needs_lines
from kd_hpc.queueing.tick_report import Report, Silence
from kd_hpc.remedies import with_folder
from kd_hpc.schedulers.base import ListedJob
from kd_hpc.screen.terminal import print_json, print_table, screen_size

_PAST = {
    Action.SUBMIT: "submitted",
    Action.RESUBMIT: "submitted again",
    Action.ADOPT: "adopted",
    Action.RELEASE: "released",
    Action.FAIL: "failed",
    Action.QUARANTINE: "record set aside",
}
_SUMMARY = {
    Action.DONE: "completed",
    Action.LEAVE: "with a job",
    Action.RELEASE: "with a job",
    Action.ADOPT: "with a job",
    Action.SUBMIT: "to submit",
    Action.RESUBMIT: "to submit",
    Action.WAIT: "waiting",
    Action.BLOCK: "in need of you",
    Action.FAIL: "in need of you",
    Action.QUARANTINE: "in need of you",
}


def show_plan(plan: Plan, silence: Silence | None, root: Path, *, as_json: bool, everything: bool = False) -> None:
    """What a tick would do, on stdout, run by run if `everything`; what it could not know, on stderr."""
    if as_json:
        print_json(plan_json(plan, silence.says if silence else ""))
        return
    if everything:
        rows = [(decision.action.value, decision.experiment.label, decision.reason) for decision in plan.decisions]
        print_table(("action", "run", "reason"), rows, typed=("run",))
    else:
        print("\n".join(grouped(plan.decisions)))
    print_remarks(plan, silence, root)
    print_needs(plan, root)
    print(f"{summary(plan)}. Nothing was done.", file=sys.stderr)


def show_report(report: Report, root: Path, *, as_json: bool) -> None:
    """What a tick did, on stdout; what it could not do and what needs a person, on stderr."""
    if as_json:
        acted = [_decision_json(decision) for decision in report.acted]
        problems = [*report.problems, *filter(None, (report.refused, _closed(report.plan)))]
        print_json({**plan_json(report.plan, report.unreachable), "acted": acted, "problems": problems})
        return
    for decision in report.acted:
        print(f"{past(decision)} {decision.experiment.label}: {decision.reason}")
    print_remarks(report.plan, report.silence, root)
    for problem in filter(None, (*report.problems, report.refused, unheard(report))):
        print(problem, file=sys.stderr)
    print_needs(report.plan, root)
    print(f"{summary(report.plan)}.", file=sys.stderr)


def _closed(plan: Plan) -> str:
    return f"{plan.closed.says}. {plan.closed.remedy}" if plan.closed else ""


def past(decision: Decision) -> str:
    """The verb for what was done."""
    return _PAST.get(decision.action, "noted the end of a job of")


def print_remarks(plan: Plan, silence: Silence | None, root: Path) -> None:
    """On stderr: what could not be known, nodes that fail jobs, and jobs that fill slots for nothing."""
    for sentence in [str(silence)] if silence else remarks(plan):
        print(with_folder(sentence, root), file=sys.stderr)


def remarks(plan: Plan) -> Iterator[str]:
    """What a person should know of the jobs and the cluster, beside the runs."""
    for sentence in plan.unknown:
        yield f"Left alone, its job's state is unknown: {sentence}"
    left = [decision for decision in plan.decisions if decision.action == Action.LEAVE and decision.remedy]
    yield from (f"    {decision.remedy}" for decision in left[:1])
    if plan.closed:
        yield _closed(plan)
    yield from node_remarks(plan.bad_nodes, avoided=plan.avoids_nodes)
    if plan.strays:
        yield _strays(plan.strays)
    for surplus in plan.surplus:
        yield f"Job {surplus.job_id} is deleted: {surplus.reason}."


def node_remarks(nodes: Iterable[BadNode], *, avoided: bool) -> Iterator[str]:
    """Nodes that fail jobs, and what is done about them."""
    for node in nodes:
        rest = "jobs are kept off it" if avoided else "one job at a time is sent, as it cannot be avoided"
        said = f"{node.says} {rest}. If it goes on, name it to the cluster's support."
        yield said[0].upper() + said[1:]


def _strays(jobs: Sequence[ListedJob], limit: int = 5) -> str:
    named = ", ".join(f"{job.job_id} ({job.name})" if job.name else job.job_id for job in jobs[:limit])
    more = f" and {len(jobs) - limit} more" if len(jobs) > limit else ""
    slots = "a slot is taken by a job" if len(jobs) == 1 else f"{len(jobs)} slots are taken by jobs"
    return f"{slots[0].upper()}{slots[1:]} this campaign knows nothing of: {named}{more}."


def unheard(report: Report) -> str:
    """What the scheduler did not hear, as a sentence; empty if it heard all."""
    told = report.unheard.rstrip(".")
    return f"Not all was heard of: {told}. What was done is on record; the next round goes on from it." if told else ""


def print_needs(plan: Plan, root: Path) -> None:
    """On stderr: the runs below `root` that wait for a person, and what to type; those with one reason together."""
    columns = screen_size()[0] if sys.stderr.isatty() else sys.maxsize
    for line in needs_lines(plan.needs, root, columns):
        print(line, file=sys.stderr)


def summary(plan: Plan) -> str:
    """One line: how many runs are in which condition, and in how many jobs where some share one."""
    runs: dict[str, list[Decision]] = {word: [] for word in _SUMMARY.values()}
    for decision in plan.decisions:
        runs[_SUMMARY[decision.action]].append(decision)
    parts = ", ".join(_counted(word, found) for word, found in runs.items() if found)
    needs_slots = any(decision.job_id for decision in plan.decisions) or not plan.is_settled
    slots = f" ({plan.in_use} of {plan.capacity} slots in use)" if needs_slots else ""
    return f"{len(plan.decisions)} runs: {parts}{slots}"


def _counted(word: str, runs: Sequence[Decision]) -> str:
    """Such as "6 to submit", or "6 to submit in 1 job" where runs have, or are to have, fewer jobs than they are."""
    ids = [decision.job_id for decision in runs if decision.job_id]
    joining = sum(decision.shares_job_of is not None for decision in runs)
    if not (fewer := joining + len(ids) - len(set(ids))):
        return f"{len(runs)} {word}"
    jobs = len(runs) - fewer
    return f"{len(runs)} {word.replace('with a job', '')} in {jobs} job{'s' if jobs != 1 else ''}".replace("  ", " ")


def plan_json(plan: Plan, unreachable: str) -> dict[str, Any]:
    return {
        "unreachable": unreachable,
        "capacity": plan.capacity,
        "in_use": plan.in_use,
        "decisions": [_decision_json(decision) for decision in plan.decisions],
        "surplus": [{"job_id": job.job_id, "reason": job.reason} for job in plan.surplus],
        "strays": [{"job_id": job.job_id, "name": job.name} for job in plan.strays],
        "unknown": list(plan.unknown),
        "bad_nodes": [
            {"host": node.host, "incidents": node.incidents, "until": node.until.isoformat()} for node in plan.bad_nodes
        ],
    }


def _decision_json(decision: Decision) -> dict[str, Any]:
    return {
        "run": decision.experiment.label,
        "experiment": decision.experiment.model_dump(),
        "action": decision.action,
        "reason": decision.reason,
        "remedy": decision.remedy,
        "job_id": decision.job_id,
        "memory": decision.memory,
        "shares_job_of": decision.shares_job_of.label if decision.shares_job_of else None,
        "ended": None
        if decision.ending is None
        else {"cause": decision.ending.cause.name, "detail": decision.ending.detail},
    }
