"""What a real PBS server answered, byte for byte, and what may be concluded from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kd_hpc.campaign_file.resources import Resources
from kd_hpc.errors import SubmissionRefused, SubmissionUncertain
from kd_hpc.schedulers.base import Gone, JobSpec, Limits, Live, Observation, Phase, Unknown
from kd_hpc.schedulers.pbs import text as pbs_text
from kd_hpc.schedulers.pbs.job import PbsJob
from kd_hpc.schedulers.pbs.scheduler import PbsScheduler
from kd_hpc.schedulers.pbs.text import JOB_ID
from tests.hpc.recorded import FIXTURES, Recorded, answer, transcript

STATES, STOPPED, HOLD = "03_qstat_states.txt", "02b_server_unreachable_stopped.txt", "10_hold_release.txt"
NO_HISTORY, NO_HISTORY_LIVE = "03e_history_disabled.txt", "03f_history_disabled_live_job.txt"
KILLS, FAILURES = "04b_signals_excerpt.txt", "02_qsub_failures.txt"

IDS = ["54.vm", "55.vm", "61.vm", "62.vm", "63.vm", "270.vm", "276.vm", "277.vm", "595.vm", "596.vm", "999999.vm"]
IDS += ["999999.sched01", "54.otherserver", "garbage"]


class Site:
    """PBS commands that print what they are told to, byte for byte."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        folder.mkdir()
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        self.says("qselect", Recorded("qselect", 0, "", ""))

    def says(self, command: str, recorded: Recorded) -> None:
        for part in ("stdout", "stderr"):
            (self.folder / f"{command}.{part}").write_bytes(getattr(recorded, part).encode(errors="surrogateescape"))
        script = f"#!/bin/sh\ncat {self.folder}/{command}.stdout\ncat {self.folder}/{command}.stderr >&2\n"
        (self.folder / command).write_text(f"{script}exit {recorded.exit_status}\n")
        (self.folder / command).chmod(0o755)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site(tmp_path / "pbs", monkeypatch)


def recorded_statuses() -> list[tuple[str, Recorded]]:
    files = (STATES, STOPPED, HOLD, NO_HISTORY, NO_HISTORY_LIVE)
    found = [(name, item) for name in files for item in transcript(name) if "qstat" in item.command]
    assert len(found) > 100
    return found


@pytest.mark.parametrize(("name", "recorded"), recorded_statuses(), ids=lambda value: getattr(value, "command", value))
def test_of_all_recorded_answers_only_those_with_proof_end_a_job(site: Site, name: str, recorded: Recorded) -> None:
    """Whatever qstat was asked when it answered so: nothing is believed ended without state F or its own line."""
    site.says("qstat", recorded)
    snapshot = PbsScheduler().look(IDS)
    for job_id in IDS:
        seen = snapshot.of(job_id)
        record = f"Job Id: {job_id}\n" in recorded.stdout
        named = f"Unknown Job Id {job_id}\n" in recorded.stderr or f"{job_id} Job has finished" in recorded.stderr
        strange = any(word in recorded.stderr for word in ("onnect", "Unknown Host", "failure", "usage", "Express"))
        if isinstance(seen, Gone):
            assert record or (named and not strange)
        elif isinstance(seen, Live):
            assert record
        elif named:
            assert strange or not set(named_words(recorded.stderr)) <= set(filter(JOB_ID.fullmatch, IDS))


def named_words(stderr: str) -> list[str]:
    return [word for line in stderr.splitlines() for word in line.split() if ".vm" in word or word == "garbage"]


@pytest.mark.parametrize(
    ("name", "command", "asked", "expected"),
    [
        (STATES, "qstat 999999.vm", "999999.vm", Gone("qstat: Unknown Job Id 999999.vm")),
        (STATES, "qstat 999999.sched01", "999999.sched01", Unknown),
        (STATES, "qstat 54.otherserver", "54.otherserver", Unknown),
        (STATES, "qstat 54.vm@nosuchhost", "54.vm", Unknown),
        (STATES, "qstat garbage", "garbage", Unknown),
        (STATES, "qstat 1.2.3", "54.vm", Unknown),
        (STATES, 'qstat ""', "999999.vm", Unknown),
        (STOPPED, "timeout 120 qstat 61.vm", "61.vm", Unknown),
        (STOPPED, "timeout 120 qstat -x -f -F json 61.vm", "61.vm", Unknown),
        (HOLD, "qstat -x 595.vm 596.vm", "595.vm", Unknown),
        (NO_HISTORY_LIVE, "qstat -x -f 276.vm", "276.vm", Unknown),
        (NO_HISTORY, "qstat 270.vm", "270.vm", Gone("qstat: Unknown Job Id 270.vm")),
        (KILLS, "qstat -x -f 102.vm", "102.vm", -29),
        (KILLS, "qstat -x -f 109.vm", "109.vm", -27),
    ],
)
def test_what_is_known_after_a_recorded_answer(
    site: Site, name: str, command: str, asked: str, expected: Observation | type[Unknown] | int
) -> None:
    site.says("qstat", answer(name, command))
    seen = PbsScheduler().look([asked]).of(asked)
    if isinstance(expected, int):
        assert isinstance(seen, Gone)
        assert (seen.exit_status, seen.host) == (expected, "vm")
        assert "and exceeded resource" in seen.comment, "a comment cut in the middle of a word is joined again"
    else:
        assert seen == expected or (isinstance(expected, type) and isinstance(seen, expected))


def test_a_line_that_explains_nothing_takes_the_proof_from_all_others(site: Site) -> None:
    proof = answer(STATES, "qstat 999999.vm")
    site.says("qstat", proof._replace(stderr=f"{proof.stderr}Communication failure.\n"))
    assert isinstance(PbsScheduler().look(["999999.vm"]).of("999999.vm"), Unknown)


def test_a_line_about_another_id_proves_nothing_about_the_one_asked_for(site: Site) -> None:
    site.says("qstat", answer(STATES, "qstat 999999"))
    assert isinstance(PbsScheduler().look(["999999"]).of("999999"), Unknown)
    assert isinstance(PbsScheduler().look(["99999.vm"]).of("99999.vm"), Unknown)


def test_every_state_letter_is_alive_except_f() -> None:
    text = answer(STATES, "qstat -f").stdout
    for letter in "QRHEWSTBUXMZ?":
        assert isinstance(told(text.replace("job_state = R", f"job_state = {letter}"), "55.vm"), Live), letter
    assert isinstance(told(text.replace("job_state = R", "job_state = F"), "55.vm"), Gone)


def told(text: str, job_id: str) -> Observation | None:
    """What the record of that job in qstat's answer says of it."""
    attributes = pbs_text.parse_jobs(text).get(job_id)
    return PbsJob(job_id, attributes).observation() if attributes else None


@pytest.mark.parametrize(
    ("hold", "comment", "phase"),
    [
        ("u", "", Phase.HELD),
        ("s", "job held, too many failed attempts to run", Phase.STUCK),
        ("s", "", Phase.OTHER),
        ("uo", "held by an operator", Phase.OTHER),
    ],
)
def test_only_the_users_own_hold_is_ours_to_release(hold: str, comment: str, phase: Phase) -> None:
    text = f"Job Id: 7.vm\n    Job_Name = x\n    job_state = H\n    Hold_Types = {hold}\n    comment = {comment}\n\n"
    seen = told(text, "7.vm")
    assert isinstance(seen, Live)
    assert seen.phase == phase


def test_a_record_cut_off_in_the_middle_of_a_line_is_no_record() -> None:
    text = answer(KILLS, "qstat -x -f 102.vm").stdout
    for end in range(len(text) - 1):
        seen = told(text[:end], "102.vm")
        assert seen is None or text[:end].endswith("\n")


def test_the_listing_of_a_recorded_site_is_read_with_whole_names(site: Site) -> None:
    text = answer(STATES, "qstat -f")
    cut = text.stdout.index("Job Id: 59.vm")
    site.says("qstat", text._replace(stdout=text.stdout[:cut]))
    site.says("qselect", Recorded("qselect", 0, "55.vm\n56.vm\n", ""))
    listed = PbsScheduler().look([]).listed
    assert listed is not None
    assert [(job.job_id, job.name, job.observation.phase) for job in listed] == [
        ("55.vm", "queued_it", Phase.RUNNING),
        ("56.vm", "queued_it2", Phase.WAITING),
    ]
    assert listed[1].observation.detail.endswith("ncpus (R: 70 A: 9 T: 80)")


def test_a_listed_job_without_a_record_makes_the_listing_unknown(site: Site) -> None:
    site.says("qselect", answer(STATES, "qselect -u user"))
    site.says("qstat", answer(STATES, "qstat -f"))
    snapshot = PbsScheduler().look([])
    assert snapshot.listed is None
    assert snapshot.unreachable


@pytest.mark.parametrize(
    "recorded",
    [answer(STOPPED, "timeout 120 qselect -u user"), answer(NO_HISTORY, "qselect -x -u user")],
    ids=lambda recorded: str(recorded.command),
)
def test_a_listing_that_failed_is_not_an_empty_one(site: Site, recorded: Recorded) -> None:
    site.says("qselect", recorded)
    snapshot = PbsScheduler().look(["61.vm"])
    assert snapshot.listed is None
    assert isinstance(snapshot.of("61.vm"), Unknown)


def test_bytes_that_are_no_text_end_nothing(site: Site) -> None:
    content = (FIXTURES / "non_UTF_8_byte.head.json").read_bytes().decode(errors="surrogateescape")
    site.says("qstat", Recorded("qstat", 0, content, ""))
    assert isinstance(PbsScheduler().look(["54.vm"]).of("54.vm"), Unknown)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (answer(STATES, "qstat -Qf gpu_1").stdout, Limits(running=None, queued=10)),
        ("    max_run = [u:PBS_GENERIC=4]\n    max_queued = [u:PBS_GENERIC=10]\n", Limits(4, 10)),
        ("    max_run = [u:PBS_GENERIC=4], [u:user=2]\n", Limits(2, None)),
        ("    max_run = [u:PBS_GENERIC=4],[u:user=6],[o:PBS_ALL=5],[g:staff=1]\n", Limits(5, None)),
        ("    max_run = [u:PBS_GENERIC=40],\n\t[u:user=7]\n", Limits(7, None)),
        ("    max_user_run = 4\n    max_user_queuable = 9\n", Limits(4, 9)),
        ("    max_user_run = 4\n    max_run = [u:PBS_GENERIC=3]\n", Limits(3, None)),
        ("    max_run = [u:somebody=1]\n", Limits()),
        ("qstat: Unknown queue destination gpu_1\n", Limits()),
        ("    max_run = lots\n", Limits()),
    ],
)
def test_the_limits_that_bind_this_user_are_read_live(text: str, expected: Limits) -> None:
    assert pbs_text.parse_limits(text, "", "user") == expected


SUBMITTED = [item for item in transcript(FAILURES) if item.command.startswith("qsub") and item.exit_status]
for name in ("20_qsub_options.txt", "22_limits_hooks.txt"):
    SUBMITTED += [item for item in transcript(name) if "| qsub" in item.command and item.exit_status]
REFUSED = [item for item in SUBMITTED if item.exit_status != 160]
UNCERTAIN = [item for item in SUBMITTED if item.exit_status == 160]
UNCERTAIN += [item for item in transcript(STOPPED) if "qsub" in item.command]
UNCERTAIN += [Recorded("no id", 0, "", ""), Recorded("no answer", 1, "", ""), Recorded("ssh", 255, "", "closed\n")]
UNCERTAIN += [
    Recorded("two ids", 0, "1.vm\n2.vm\n", ""),
    Recorded("protocol", 39, "", "qsub: Error (15031) submitting job\n"),
]
REFUSED += [Recorded("a status never seen", 99, "", "qsub: what\n")]


def spec(tmp_path: Path) -> JobSpec:
    return JobSpec("kd-tokA", "tokA", ["true"], tmp_path, Resources())


def test_every_way_to_be_refused_was_recorded() -> None:
    assert {item.exit_status for item in REFUSED} >= {1, 2, 5, 6, 8, 32, 38, 39, 154, 166, 170, 173, 187, 188, 189, 198}
    assert len(UNCERTAIN) >= 9


@pytest.mark.parametrize("recorded", REFUSED, ids=lambda item: item.command[:60])
def test_a_recorded_refusal_is_quoted_in_the_servers_words_with_a_remedy(
    site: Site, tmp_path: Path, recorded: Recorded
) -> None:
    site.says("qsub", recorded)
    with pytest.raises(SubmissionRefused) as refusal:
        PbsScheduler().submit_held(spec(tmp_path))
    words = next(line for line in recorded.stderr.splitlines() if line.startswith("qsub: ")).strip()
    assert words in refusal.value.what
    assert refusal.value.remedy


@pytest.mark.parametrize("recorded", UNCERTAIN, ids=lambda item: item.command)
def test_what_is_not_surely_refused_is_uncertain(site: Site, tmp_path: Path, recorded: Recorded) -> None:
    site.says("qsub", recorded)
    with pytest.raises(SubmissionUncertain):
        PbsScheduler().submit_held(spec(tmp_path))


def test_recorded_releases_and_deletions_of_ended_jobs_are_passed_over(site: Site) -> None:
    for recorded in (answer(HOLD, "qrls 595.vm 596.vm"), answer(HOLD, "qrls 597.vm 99999.vm")):
        site.says("qrls", recorded)
        PbsScheduler().release(["595.vm"])
    for command in ("qdel 61.vm", "qdel 999999.vm", "qdel 57.vm"):
        site.says("qdel", answer(STATES, command))
        PbsScheduler().cancel(["61.vm"])
