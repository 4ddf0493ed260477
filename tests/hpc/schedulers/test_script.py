"""Whatever the names and values, a job script runs one command, with exactly its arguments, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kd_hpc.campaign_file.resources import Resources
from kd_hpc.job_output import banner
from kd_hpc.schedulers.base import JobSpec
from kd_hpc.schedulers.script import job_script

RECORD = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['KD_TOKEN'], sys.stdin.read()]))"
POISON = ["$(touch owned)", "`touch owned`", "; touch owned", "| touch owned", "\ntouch owned\n", "'; touch owned; '"]
POISON += ['"; touch owned; "', "& touch owned &", "${IFS}", "~", "*", "!!", "\\", "#", "-c", "--", "", "a=b", ">owned"]

WORDS = st.one_of(
    st.sampled_from(POISON),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20),
    st.lists(st.sampled_from(POISON), max_size=3).map("".join),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=st.lists(WORDS, max_size=6), token=WORDS.filter(lambda word: "\r" not in word), stdin=st.booleans())
@example(arguments=POISON, token="$(touch owned)", stdin=True)
def test_nothing_but_the_trainer_runs_and_it_gets_exactly_its_arguments(
    tmp_path: Path, arguments: list[str], token: str, stdin: bool
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir(exist_ok=True)
    spec = JobSpec("kd-x", token, [sys.executable, "-c", RECORD, *arguments], folder, Resources())
    script = job_script(spec, "PBS_JOBID")
    if stdin:
        ran = subprocess.run(["bash"], input=script.encode(), capture_output=True, cwd=folder, check=True)
    else:
        (tmp_path / "script").write_bytes(script.encode())
        ran = subprocess.run(["bash", str(tmp_path / "script")], capture_output=True, cwd=folder, check=True)
    out = ran.stdout.decode()
    heading = f"{banner(token)}\n"
    assert out.startswith(heading)
    assert json.loads(out.removeprefix(heading)) == [arguments, token, ""]
    assert ran.stderr.decode() == heading
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("field", ["queue", "project", "venv", "data", "gpu_type", "modules", "partition", "account"])
@given(word=WORDS)
@settings(max_examples=40, deadline=None)
def test_values_that_reach_a_command_line_are_refused_or_harmless(field: str, word: str) -> None:
    value = (word,) if field == "modules" else word
    try:
        Resources.model_validate({field: value})
    except ValidationError:
        return
    shown = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True).stdout
    assert shown.decode() == word, "a word that passes means itself even where somebody forgot to quote it"


def test_the_jobs_environment_is_set_before_the_trainer_takes_over(tmp_path: Path) -> None:
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "activate").write_text(
        f"export PATH={tmp_path}/venv/bin:$PATH\nexport VENV_IS=active\n"
    )
    resources = Resources(venv=str(tmp_path / "venv"), modules=("chpc/python/3-2024.10.1",))
    command = ["bash", "-c", "echo $VENV_IS $LOADED $$ $(umask)"]
    script = job_script(JobSpec("kd-x", "tok", command, tmp_path, resources), "PBS_JOBID")
    shell = f"module() {{ export LOADED=$2; }}; echo $$; {script.partition(chr(10))[2]}"
    ran = subprocess.run(["bash", "-c", shell], capture_output=True, check=True, text=True)
    pid, _, words = ran.stdout.splitlines()
    assert words == f"active chpc/python/3-2024.10.1 {pid} 0022", "exec: the trainer has the shell's process id"


def test_a_missing_environment_ends_the_job_at_once_and_says_so(tmp_path: Path) -> None:
    resources = Resources(venv=str(tmp_path / "nowhere"))
    script = job_script(JobSpec("kd-x", "tok", ["echo", "trained"], tmp_path, resources), "PBS_JOBID")
    ran = subprocess.run(["bash"], input=script, capture_output=True, check=False, text=True)
    assert ran.returncode == 127
    assert "nowhere/bin/activate" in ran.stderr
    assert "trained" not in ran.stdout
