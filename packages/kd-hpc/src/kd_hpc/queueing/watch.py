"""kd-hpc queue --watch: tick after tick until nothing is left that time alone will change."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from kd_hpc.errors import LockHeld
from kd_hpc.planning.decision import Action, Plan
from kd_hpc.planning.planner import plan
from kd_hpc.queueing.events import Events
from kd_hpc.queueing.live_display import Display, make_display
from kd_hpc.queueing.runner import tick_lock
from kd_hpc.queueing.session import Session
from kd_hpc.queueing.show import print_needs, summary
from kd_hpc.queueing.tick_report import Report
from kd_hpc.schedulers.registry import kind

INCOMPLETE = 3
_GLANCE_SECONDS = 1.0
_AT_WORK = (Action.LEAVE, Action.RELEASE, Action.ADOPT)


def watch(session: Session) -> int:
    """Keep going; returns the exit code. Raises SystemExit(130) at Ctrl-C, which ends only the watching."""
    events = Events(session.store)
    try:
        with make_display(session.store) as display:
            report = _until_over(session, events, display)
    except KeyboardInterrupt:
        _say_how_to_come_back(session)
        raise SystemExit(130) from None
    print(f"{summary(report.plan)}.", file=sys.stderr)
    print_needs(report.plan, session.store.root)
    if why := report.refused or (report.silence and str(report.silence)) or _closed(report.plan):
        print(why, file=sys.stderr)
        return 1
    return 0 if all(decision.action == Action.DONE for decision in report.plan.decisions) else INCOMPLETE


def _until_over(session: Session, events: Events, display: Display) -> Report:
    while True:
        report = _tick(session, events, display)
        if report and _is_over(report):
            return report
        _wait(session, report.jobs if report else (), display)


def _is_over(report: Report) -> bool:
    """True if time alone changes nothing any more."""
    if report.silence:
        return not report.silence.passes
    if report.refused or report.plan.closed:
        was_submitted = any(decision.action.is_submission for decision in report.acted)
        return not was_submitted and not any(decision.action in _AT_WORK for decision in report.plan.decisions)
    return report.plan.is_settled and not report.unheard


def _tick(session: Session, events: Events, display: Display) -> Report | None:
    """One tick, told and shown; None while another kd-hpc is at work: then it is only watched."""
    try:
        with tick_lock(session.control):
            session.remember_campaign()
            report = session.runner.tick()
    except LockHeld as held:
        events.say(f"{held.what} It is watched until then.")
        display.update(plan(session.runner.look()))
        return None
    events.tell(report)
    display.update(report.plan)
    session.tell(report)
    return report


def _wait(session: Session, jobs: Sequence[str], display: Display) -> None:
    """Until a job may have changed, or it is time for another look; the display is kept fresh meanwhile."""
    deadline = time.monotonic() + kind(session.scheduler.kind).LOOK_EVERY
    while (left := deadline - time.monotonic()) > 0:
        glance = min(_GLANCE_SECONDS, left)
        began = time.monotonic()
        session.scheduler.wait(jobs, glance)
        if time.monotonic() - began < 0.9 * glance:
            return
        display.refresh()


def _closed(found: Plan) -> str:
    return f"{found.closed.says}. {found.closed.remedy}" if found.closed else ""


def _say_how_to_come_back(session: Session) -> None:
    typed = "".join(f" --set {word}" for word in session.settings)
    again = f"kd-hpc queue {session.campaign_file}{typed} --experiments {session.store.root} --watch"
    print("\nNo longer watching; jobs that have begun go on by themselves.", file=sys.stderr)
    print(f"Come back with: {again}", file=sys.stderr)
    print("End jobs with: kd-hpc cancel RUN (kd-hpc status lists runs)", file=sys.stderr)
