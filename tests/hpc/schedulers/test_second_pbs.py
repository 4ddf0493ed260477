"""What a second PBS, with two nodes, answered when things went wrong, byte for byte, and what may be concluded."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from kd_hpc.diagnosis.diagnose import diagnose
from kd_hpc.errors import SchedulerUnreachable
from kd_hpc.schedulers.base import Deleted, Gone, Identity, Live, Lost, NodeFault, Observation, Phase
from kd_hpc.schedulers.pbs import text
from kd_hpc.schedulers.pbs.job import PbsJob
from kd_hpc.schedulers.pbs.scheduler import PbsScheduler
from tests.hpc.recorded import Recorded, transcript
from tests.hpc.schedulers.test_pbs_recorded import Site

LOST, RESTARTED, HELD, NO_FOLDER = (
    "21_nodedown.txt",
    "21_momrestart.txt",
    "21_userhold.txt",
    "23_output_folder_gone.txt",
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path / "pbs", monkeypatch)


def told(name: str) -> list[Observation]:
    """What each recorded status of a transcript says of its job, in their order."""
    found = []
    for recorded in transcript(name):
        for job_id, attributes in text.parse_jobs(recorded.stdout).items():
            seen = PbsJob(job_id, attributes).observation()
            assert seen is not None
            found.append(seen)
    return found


def test_a_job_whose_node_was_lost_is_not_dead_and_one_that_was_killed_there_is() -> None:
    *_, first_end, running, running_on, lost = told(LOST)
    assert isinstance(first_end, Gone)
    assert (first_end.exit_status, first_end.verdict, first_end.host) == (-4, NodeFault(), "node2")
    assert isinstance(running, Live)
    assert isinstance(running_on, Live)
    assert isinstance(lost, Lost)
    assert "lost its node node2" in lost.reason
    assert (lost.gone.exit_status, lost.gone.verdict) == (-20, NodeFault())


def test_a_daemon_that_restarts_kills_its_jobs_and_is_to_blame() -> None:
    alive, dead = told(RESTARTED)
    assert isinstance(alive, Live)
    assert isinstance(dead, Gone)
    found = diagnose(dead, "")
    assert (found.cause.name, found.charged) == ("node", False)
    assert "node2" in found.detail


def test_a_job_whose_node_was_lost_may_live_until_its_walltime_is_over() -> None:
    facts = {"job_state": "F", "Exit_status": "-20", "exec_host": "node2/0", "Resource_List.walltime": "01:00:00"}
    lost = PbsJob("7.vm", facts | {"stime": "Fri Nov 27 03:29:00 2026"}).observation()
    assert isinstance(lost, Lost)
    start = datetime(2026, 11, 27, 3, 29).astimezone()
    assert lost.ends_by is not None
    assert timedelta(hours=1) < lost.ends_by - start < timedelta(hours=1, minutes=30)


@pytest.mark.parametrize(
    ("state", "is_back"),
    [
        ("free", True),
        ("job-busy", True),
        ("offline", True),
        ("down", False),
        ("down,offline", False),
        ("state-unknown,down", False),
        ("stale", False),
    ],
)
def test_a_lost_job_is_gone_when_its_node_is_back(site: Site, state: str, is_back: bool) -> None:
    record = "Job Id: 7.vm\n    Job_Name = k\n    Job_Owner = root@vm\n    job_state = F\n    exec_host = node2/0\n"
    site.says("qstat", Recorded("qstat", 0, f"{record}    Exit_status = -20\n\n", ""))
    site.says("pbsnodes", Recorded("pbsnodes", 0, f"node2\n     Mom = node2\n     state = {state}\n", ""))
    seen = PbsScheduler().look(["7.vm"])
    assert isinstance(seen.of("7.vm"), Gone if is_back else Lost)
    assert not seen.unreachable


def test_only_the_hold_of_a_submission_is_ours_to_release() -> None:
    submitted, *_ = told(HELD)
    assert submitted == Live(Phase.HELD, "state H")
    comment = "Job held by student on Fri Nov 27 03:28:16 2026"
    facts = {"job_state": "H", "Hold_Types": "u", "comment": comment, "Job_Owner": "student@vm"}
    by_hand = PbsJob("7.vm", facts).observation()
    assert isinstance(by_hand, Live)
    assert by_hand.phase == Phase.OTHER
    assert by_hand.obstacle is not None
    assert "held by yourself" in by_hand.obstacle.says
    assert "qrls 7.vm" in by_hand.obstacle.remedy
    by_operator = PbsJob("7.vm", facts | {"Hold_Types": "ou", "comment": comment.replace("student", "root")})
    seen = by_operator.observation()
    assert isinstance(seen, Live)
    assert seen.obstacle is not None
    assert "held by root" in seen.obstacle.says


def test_a_folder_that_no_job_can_write_into_is_to_blame_and_not_the_node() -> None:
    _, stuck, ended, *_ = told(NO_FOLDER)
    assert isinstance(stuck, Live)
    assert stuck.phase == Phase.STUCK
    assert isinstance(ended, Gone)
    assert diagnose(ended, "").cause.name == "node", "nothing else is known"
    found = diagnose(ended, "", folder_problem="/x/run is missing", run="A/b")
    assert (found.cause.name, found.charged) == ("output_folder", True)
    assert "/x/run is missing" in found.detail
    assert "kd-hpc retry A/b" in found.remedy


@pytest.mark.parametrize(
    ("name", "status", "verdict", "cause"),
    [
        ("21_qdelforce.txt", 265, None, "signal"),
        ("21_qdelrun.txt", 271, None, "signal"),
        ("21_suspend.txt", 137, None, "signal"),
    ],
)
def test_other_recorded_ends_are_ends(name: str, status: int, verdict: Deleted | None, cause: str) -> None:
    """The comments were recorded cut, so that nothing says who ended them."""
    end = told(name)[-1]
    assert isinstance(end, Gone)
    assert (end.exit_status, end.verdict, diagnose(end, "").cause.name) == (status, verdict, cause)


def test_suspended_and_rerun_jobs_are_alive() -> None:
    _, suspended, _ = told("21_suspend.txt")
    assert isinstance(suspended, Live)
    assert all(isinstance(seen, Live) for seen in told("21_rerun.txt"))


def test_a_deletion_that_could_not_reach_the_node_is_not_done(site: Site) -> None:
    refused = next(item for item in transcript(RESTARTED) if item.command.startswith("qdel"))
    assert refused.exit_status == 222
    site.says("qdel", refused)
    with pytest.raises(SchedulerUnreachable, match="could not connect to MOM"):
        PbsScheduler().cancel(["2153.vm"])


def test_the_owner_and_the_whole_name_of_a_job_are_read() -> None:
    recorded = next(item for item in transcript("20_qsub_options.txt") if "qstat -f $(qselect" in item.command)
    ((job_id, attributes),) = text.parse_jobs(recorded.stdout).items()
    job = PbsJob(job_id, attributes)
    assert (job.identity, job.queue) == (Identity("optall", "student"), "gpu_1")


def test_a_limit_on_everybodys_jobs_is_a_limit() -> None:
    recorded = next(item for item in transcript("22_limits_hooks.txt") if "qstat -Qf" in item.command)
    workq, gpu_2 = recorded.stdout.split("Queue: gpu_2")
    assert text.parse_limits(workq, "", "student").queued == 1
    assert text.parse_limits(gpu_2, "", "student").running == 2


@pytest.mark.parametrize("comment", ["Can Never Run: Insufficient amount of resource: ngpus (R: 8 A: 3 T: 3)"])
def test_a_job_that_can_never_run_says_which_line_to_mend(comment: str) -> None:
    for resource, line in (("ngpus", "gpus"), ("ncpus", "cores"), ("mem", "memory"), ("walltime", "walltime")):
        facts = {"job_state": "Q", "comment": comment.replace("ngpus", resource)}
        seen = PbsJob("7.vm", facts).observation()
        assert isinstance(seen, Live)
        assert seen.obstacle is not None
        assert seen.obstacle.needs_new_job
        assert seen.obstacle.remedy == f"Mend {line} under [resources] of the campaign"
    assert PbsJob("7.vm", {"job_state": "Q", "comment": "Not Running: no free node"}).observation() == Live(
        Phase.WAITING, "state Q; Not Running: no free node"
    )


@pytest.mark.parametrize(
    ("listing", "ids", "foreign"),
    [
        ("12.vm\n", ("12.vm",), ()),
        ("12.vm\n13[].vm\n14[3].vm\n", ("12.vm", "13[].vm", "14[3].vm"), ()),
        ("12.vm\nR13.vm\n14[1-9].vm\n15.vm@west\n16\n", ("12.vm",), ("R13.vm", "14[1-9].vm", "15.vm@west", "16")),
    ],
)
def test_ids_of_forms_not_met_before_are_counted_as_others(
    listing: str, ids: tuple[str, ...], foreign: tuple[str, ...]
) -> None:
    found = text.parse_listing(listing)
    assert found == text.Listing(ids, foreign)


@pytest.mark.parametrize("listing", ["Welcome\n", "<html>\n", "12.vm 13.vm\n", "12.vm\nqselect: what\n"])
def test_what_is_no_list_of_ids_is_no_listing(listing: str) -> None:
    assert text.parse_listing(listing) is None
