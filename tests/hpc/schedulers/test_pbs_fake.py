"""The PBS scheduler against a server that runs real jobs and fails in every recorded way."""

from __future__ import annotations

import itertools
import os
import shlex
import signal
import sys
from pathlib import Path

import pytest

from kd_hpc.campaign_file.resources import Resources
from kd_hpc.diagnosis.diagnose import diagnose
from kd_hpc.errors import SchedulerUnreachable, SubmissionRefused, SubmissionUncertain
from kd_hpc.schedulers.base import Gone, JobSpec, Limits, Live, Phase, Unknown
from kd_hpc.schedulers.pbs.scheduler import PbsScheduler
from tests.hpc.fakepbs.site import FakePbs
from tests.hpc.support import wait_until

ASKS = Resources(walltime="00:10:00", cores=8, memory="16gb", gpus=1, queue="gpu_1", project="CSCI1166")


def spec(directory: Path, token: str = "tokA", shell: str = "true", resources: Resources = ASKS) -> JobSpec:
    directory.mkdir(parents=True, exist_ok=True)
    return JobSpec(f"kd-{token}", token, ["bash", "-c", shell], directory, resources)


@pytest.fixture
def pbs(fakepbs: FakePbs) -> PbsScheduler:
    return PbsScheduler("gpu_1")


def test_a_submitted_job_is_held_listed_by_name_and_runs_after_release(
    fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path
) -> None:
    job_id = pbs.submit_held(spec(tmp_path / "run", shell="echo out; echo err >&2; echo $KD_TOKEN $PBS_JOBID"))
    snapshot = pbs.look([job_id])
    assert snapshot.unreachable == ""
    assert snapshot.of(job_id) == Live(Phase.HELD, "state H")
    assert [(job.job_id, job.name) for job in snapshot.listed or ()] == [(job_id, "kd-tokA")]
    assert not (tmp_path / "run" / "logs").exists()
    pbs.release([job_id])
    fakepbs.wait_for(job_id, "F")
    gone = pbs.look([job_id]).of(job_id)
    assert isinstance(gone, Gone)
    assert (gone.exit_status, gone.host) == (0, "vm")
    assert (tmp_path / "run" / "logs").read_text() == f"== kd job tokA ==\nout\ntokA {job_id}\n"
    assert (tmp_path / "run" / "errors").read_text() == "== kd job tokA ==\nerr\n"
    assert (tmp_path / "run" / "logs").stat().st_mode & 0o777 == 0o644


def test_one_look_costs_one_listing_one_status_call_and_limits_once(
    fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path
) -> None:
    ids = [pbs.submit_held(spec(tmp_path / str(number), f"tok{number}")) for number in range(3)]
    before = len(fakepbs.calls)
    assert pbs.look([*ids, "7000000.sched01"]).limits == Limits(running=4, queued=10)
    pbs.look(ids)
    calls = [" ".join(call[:2]) for call in fakepbs.calls[before:]]
    assert calls == ["qselect -u", "qstat -x", "qstat -Qf", "qstat -Bf", "qselect -u", "qstat -x"]


def test_what_qsub_is_asked_is_what_the_site_needs(fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path) -> None:
    job_id = pbs.submit_held(spec(tmp_path / "a run"))
    call = fakepbs.calls[-1]
    assert call[:2] == ["qsub", "-f"]
    assert "-V" not in call
    pairs = set(itertools.pairwise(call))
    wanted = {("-N", "kd-tokA"), ("-r", "n"), ("-P", "CSCI1166"), ("-q", "gpu_1"), ("-k", "oed"), ("-W", "umask=022")}
    wanted |= {("-l", "select=1:ncpus=8:mpiprocs=8:mem=16gb:ngpus=1"), ("-l", "walltime=00:10:00")}
    wanted |= {("-o", str(tmp_path / "a run" / "logs")), ("-e", str(tmp_path / "a run" / "errors"))}
    assert wanted <= pairs
    assert "-h" in call
    assert fakepbs.jobs[job_id]["project"] == "CSCI1166"


def test_a_server_without_direct_write_still_gets_the_job_once(
    fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path
) -> None:
    fakepbs.set(direct_write=False)
    pbs.submit_held(spec(tmp_path / "run"))
    assert len(fakepbs.jobs) == 1


@pytest.mark.parametrize(
    ("shell", "resources", "status", "cause"),
    [
        ("sleep 3600", {"walltime": "00:00:01"}, -29, "walltime"),
        ("trap '' TERM; sleep 3600", {"walltime": "00:00:01"}, -29, "walltime"),
        (
            f"{shlex.quote(sys.executable)} -c 'x = bytearray(300 * 2**20); import time; time.sleep(3600)'",
            {"memory": "100mb"},
            -27,
            "memory",
        ),
        ("echo 'no such data set' >&2; exit 3", {}, 3, "error"),
        (f"{shlex.quote(sys.executable)} -c 'import nowhere_to_be_found'", {}, 1, "exception"),
        ("kill -9 $$", {}, 265, "signal"),
    ],
)
def test_a_death_is_gone_with_its_exit_status_and_diagnosed(
    fakepbs: FakePbs,
    pbs: PbsScheduler,
    tmp_path: Path,
    shell: str,
    resources: dict[str, str],
    status: int,
    cause: str,
) -> None:
    job_id = pbs.submit_held(spec(tmp_path / "run", shell=shell, resources=ASKS.model_copy(update=resources)))
    pbs.release([job_id])
    fakepbs.wait_for(job_id, "F")
    gone = pbs.look([job_id]).of(job_id)
    assert isinstance(gone, Gone)
    assert gone.exit_status == status
    errors = (tmp_path / "run" / "errors").read_text()
    assert diagnose(gone, errors, token="tokA", memory="100mb").cause.name == cause


def test_deleted_jobs_are_gone_and_diagnosed_as_deleted(fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path) -> None:
    running, held = (pbs.submit_held(spec(tmp_path / token, token, "sleep 3600")) for token in ("run", "hold"))
    pbs.release([running])
    fakepbs.wait_for(running, "R")
    pbs.cancel([running, held, "7000001.sched01"])
    fakepbs.wait_for(running, "F")
    snapshot = pbs.look([running, held])
    found = [snapshot.of(job_id) for job_id in (running, held)]
    assert [gone.exit_status for gone in found if isinstance(gone, Gone)] == [271, None]
    assert [diagnose(gone, "").cause.name for gone in found if isinstance(gone, Gone)] == ["deleted", "deleted"]
    assert snapshot.listed == ()


def test_a_node_that_cannot_run_jobs_is_blamed_itself(fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path) -> None:
    fakepbs.set(node_faults=1)
    job_id = pbs.submit_held(spec(tmp_path / "run"))
    pbs.release([job_id])
    fakepbs.wait_for(job_id, "F")
    gone = pbs.look([job_id]).of(job_id)
    assert isinstance(gone, Gone)
    diagnosis = diagnose(gone, "", token="tokA")
    assert (diagnosis.cause.name, diagnosis.charged) == ("node", False)
    assert "vm" in diagnosis.detail


def test_a_missing_output_folder_leaves_the_job_alive_with_the_reason(
    fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path
) -> None:
    job_id = pbs.submit_held(spec(tmp_path / "run"))
    (tmp_path / "run").rmdir()
    pbs.release([job_id])
    fakepbs.wait_for(job_id, "H")
    seen = pbs.look([job_id]).of(job_id)
    assert isinstance(seen, Live)
    assert seen == Live(Phase.STUCK, "state H; job held, too many failed attempts to run")
    pbs.release([job_id])
    assert pbs.look([job_id]).of(job_id) == seen, "a hold of the server is not the user's to release"
    pbs.cancel([job_id])
    gone = pbs.look([job_id]).of(job_id)
    assert isinstance(gone, Gone)
    assert diagnose(gone, "").cause.name == "node"


def test_history_off_a_live_job_is_live_and_an_ended_one_gone(
    fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path
) -> None:
    fakepbs.set(history=False)
    live, ended = (pbs.submit_held(spec(tmp_path / token, token)) for token in ("live", "end"))
    pbs.release([ended])
    wait_until(lambda: ended not in fakepbs.jobs)
    snapshot = pbs.look([live, ended])
    assert isinstance(snapshot.of(live), Live)
    assert snapshot.of(ended) == Gone(f"qstat: Unknown Job Id {ended}")
    assert [job.job_id for job in snapshot.listed or ()] == [live]


def test_ids_of_another_server_are_unknown_and_hide_no_others(
    fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path
) -> None:
    job_id = pbs.submit_held(spec(tmp_path / "run"))
    strange = ["7002781.otherserver", "", "garbage", "-u", "12 34", "None"]
    snapshot = pbs.look([*strange, job_id, "7000000.sched01"])
    assert all(isinstance(snapshot.of(other), Unknown) for other in strange)
    assert isinstance(snapshot.of(job_id), Live)
    assert snapshot.of("7000000.sched01") == Gone("qstat: Unknown Job Id 7000000.sched01")
    assert snapshot.unreachable == ""


def test_masked_exit_codes_are_no_verdict(fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path) -> None:
    """A connection failure for one id and an unknown second one exit 153; reversed, 255: neither proves anything."""
    job_id = pbs.submit_held(spec(tmp_path / "run"))
    refused = "Connection refused\nqstat: cannot connect to server sched01 (errno=15010)\n"
    unknown = f"qstat: Unknown Job Id {job_id}\n"
    for stderr, status in ((refused + unknown, 153), (unknown + refused, 255)):
        fakepbs.fault("qstat", "answer", stderr=stderr, exit=status)
        snapshot = pbs.look([job_id])
        assert not isinstance(snapshot.of(job_id), Gone)
        assert snapshot.listed is None
        assert snapshot.unreachable


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "refused_connection"},
        {"fault": "lying_silence"},
        {"fault": "hangs"},
        {"fault": "answer", "exit": 255, "stdout": '{\n\t"timestamp":\t1795456713,\n\t"pbs_server":\t"vm"\n}\n'},
        {"fault": "answer", "stdout": "Job Id: \xff\xfe\n    job_state = F\n"},
        {"fault": "answer", "stdout": "<html>502 Bad Gateway</html>\n"},
        {"fault": "answer", "exit": 255, "stderr": "ssh: connect to host login port 22: No route to host\n"},
    ],
    ids=lambda fault: str(fault["fault"] if fault["fault"] != "answer" else (fault.get("stdout") or "ssh"))[:12],
)
@pytest.mark.parametrize("command", ["qstat", "qselect"])
def test_no_failure_of_a_status_command_is_taken_for_an_end(
    fakepbs: FakePbs, tmp_path: Path, command: str, fault: dict[str, str]
) -> None:
    pbs = PbsScheduler()
    job_id = pbs.submit_held(spec(tmp_path / "run"))
    fakepbs.fault(command, **fault)
    snapshot = pbs.look([job_id])
    assert not isinstance(snapshot.of(job_id), Gone)
    assert snapshot.listed is None
    assert snapshot.unreachable


def test_a_hung_server_costs_one_time_out_and_no_more(fakepbs: FakePbs) -> None:
    fakepbs.fault("*", "hangs", times=9)
    snapshot = PbsScheduler(timeout=0.5).look(["7002781.sched01"])
    assert [call[0] for call in fakepbs.calls] == ["qselect"]
    assert snapshot.of("7002781.sched01") == Unknown("qselect gave no answer within 0.5 s")


def test_missing_commands_are_said_and_prove_nothing(
    fakepbs: FakePbs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    pbs = PbsScheduler()
    snapshot = pbs.look(["7002781.sched01"])
    assert snapshot.of("7002781.sched01") == Unknown("qselect is not on the PATH")
    with pytest.raises(SubmissionRefused, match="login node"):
        pbs.submit_held(spec(tmp_path / "run"))


def test_bytes_that_are_no_text_in_another_job_do_not_hide_ours(
    fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path
) -> None:
    job_id = pbs.submit_held(spec(tmp_path / "run"))
    record = f"Job Id: {job_id}\n    Job_Name = kd-tokA\n    job_state = R\n    Variable_List = A=\xff\xfe\nb\x01\n\n"
    fakepbs.fault("qstat", "answer", stdout=record)
    assert pbs.look([job_id]).of(job_id) == Live(Phase.RUNNING, "state R")


@pytest.mark.parametrize(
    ("fault", "created"),
    [
        ({"fault": "refused_connection"}, 0),
        ({"fault": "hangs"}, 0),
        ({"fault": "dies_after_accepting", "exit": 255}, 1),
        ({"fault": "dies_after_accepting", "hangs": True}, 1),
        ({"fault": "dies_after_accepting", "exit": 0}, 1),
        ({"fault": "dies_after_accepting", "exit": 1, "lines": ["Terminated"]}, 1),
        ({"fault": "answer", "exit": 0, "stdout": "Welcome to the cluster\n"}, 0),
        (
            {
                "fault": "answer",
                "exit": 160,
                "stderr": "Unknown Host.\nqsub: cannot connect to server vm (errno=15008)\n",
            },
            0,
        ),
    ],
)
def test_an_unclear_submission_is_uncertain_and_the_token_finds_it(
    fakepbs: FakePbs, tmp_path: Path, fault: dict[str, object], created: int
) -> None:
    pbs = PbsScheduler()
    fakepbs.fault("qsub", **fault)  # type: ignore[arg-type]
    with pytest.raises(SubmissionUncertain, match="looks for the job"):
        pbs.submit_held(spec(tmp_path / "run", "lost1"))
    listed = pbs.look([]).listed
    assert listed is not None
    assert len([job for job in listed if "lost1" in job.name]) == created


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"queue": "nosuch"}, "Unknown queue"),
        ({"walltime": "24:00:00"}, "violates queue"),
        ({"gpus": 2}, "violates queue"),
    ],
)
def test_a_refused_submission_made_no_job_and_says_what_to_do(
    fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    with pytest.raises(SubmissionRefused, match=words) as refusal:
        pbs.submit_held(spec(tmp_path / "run", resources=ASKS.model_copy(update=change)))
    assert refusal.value.remedy
    assert fakepbs.jobs == {}


def test_a_full_queue_refuses_the_eleventh_job(fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path) -> None:
    for number in range(10):
        pbs.submit_held(spec(tmp_path / str(number), f"t{number}"))
    with pytest.raises(SubmissionRefused, match="per-user limit"):
        pbs.submit_held(spec(tmp_path / "10", "t10"))


def test_only_as_many_as_max_run_start_and_the_next_follows_an_ended_one(
    fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path
) -> None:
    fakepbs.set(queues={"gpu_1": {"max_queued": 10, "max_run": 1}})
    waits = f"while [ ! -e {fakepbs.home}/go ]; do sleep 0.05; done"
    first, second = (pbs.submit_held(spec(tmp_path / token, token, waits)) for token in ("one", "two"))
    pbs.release([first, second])
    waiting = pbs.look([second]).of(second)
    assert isinstance(waiting, Live)
    assert "running job limit" in waiting.detail
    (fakepbs.home / "go").touch()
    fakepbs.wait_for(second, "F")


def test_release_passes_over_finished_and_unknown_jobs(fakepbs: FakePbs, pbs: PbsScheduler, tmp_path: Path) -> None:
    done, held = (pbs.submit_held(spec(tmp_path / token, token)) for token in ("done", "held"))
    pbs.release([done])
    fakepbs.wait_for(done, "F")
    pbs.release([done, "7000000.sched01", held])
    fakepbs.wait_for(held, "F")
    pbs.release([])


@pytest.mark.parametrize("verb", ["release", "cancel"])
@pytest.mark.parametrize("fault", [{"fault": "refused_connection"}, {"fault": "hangs"}])
def test_release_and_cancel_say_when_the_server_cannot_be_reached(
    fakepbs: FakePbs, tmp_path: Path, verb: str, fault: dict[str, str]
) -> None:
    pbs = PbsScheduler()
    fakepbs.fault("qrls" if verb == "release" else "qdel", **fault)
    with pytest.raises(SchedulerUnreachable):
        getattr(pbs, verb)(["7002781.sched01"])


def test_a_child_that_outlives_qsub_does_not_make_its_answer_late(fakepbs: FakePbs, tmp_path: Path) -> None:
    real = fakepbs.home / "qsub"
    (fakepbs.bin / "qsub").rename(real)
    child = fakepbs.home / "child"
    (fakepbs.bin / "qsub").write_text(f'#!/bin/sh\nsleep 3600 &\necho $! >{child}\nexec "{real}" "$@"\n')
    (fakepbs.bin / "qsub").chmod(0o755)
    job_id = PbsScheduler().submit_held(spec(tmp_path / "run"))
    assert job_id in fakepbs.jobs
    os.kill(int(child.read_text()), signal.SIGKILL)


def test_the_user_is_the_one_of_this_process(fakepbs: FakePbs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody-else")
    PbsScheduler().look([])
    assert fakepbs.calls[-1][:2] == ["qselect", "-u"]
    assert fakepbs.calls[-1][2] != "somebody-else"
