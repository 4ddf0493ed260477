"""Inputs that failed, from public reports: what other sites' commands print for jobs and in states of their own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.hpc.support import kd_hpc

CASES = Path(__file__).parents[1] / "fixtures/cases"


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the case's campaign, its commands first on the PATH."""
    case: str = request.param
    folder = tmp_path / case
    shutil.copytree(CASES / case, folder)
    for command in (folder / "bin").iterdir():
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    return folder


@pytest.mark.parametrize("site", ["02-het-job"], indirect=True)
def test_parts_of_a_heterogeneous_job_are_foreign_jobs_and_blind_nobody(site: Path) -> None:
    """Source: birc-aeh/slurm-utils pull 10, reframe-hpc/reframe pull 3737."""
    done = kd_hpc("queue", "campaign.toml", cwd=site)
    assert (done.returncode, done.stdout.count("submitted Digits/pure/")) == (0, 2), done.stderr
    assert "2 slots are taken by jobs this campaign knows nothing of: 4711+0 (coupled-model), 4711+1" in done.stderr


@pytest.mark.parametrize("site", ["13-pbs-noise"], indirect=True)
def test_a_shells_remark_and_a_job_moved_to_a_peer_are_no_trouble(site: Path) -> None:
    """Source: aiidateam/aiida-core issue 1079."""
    assert kd_hpc("queue", "campaign.toml", cwd=site).returncode == 0
    (site / "moved").touch()
    done = kd_hpc("queue", "campaign.toml", cwd=site)
    assert done.returncode == 0, done.stderr
    assert "6 with a job (6 of 6 slots in use)" in done.stderr
    assert "setlocale: LC_ALL: cannot change locale" in kd_hpc("doctor", "campaign.toml", cwd=site).stdout


@pytest.mark.parametrize("site", ["14-can-never-run"], indirect=True)
def test_jobs_that_can_never_run_are_told_with_the_line_to_mend(site: Path) -> None:
    """Source: cylc/cylc-flow issue 7398, Azure/az-hop issue 133."""
    kd_hpc("queue", "campaign.toml", cwd=site)
    done = kd_hpc("queue", "campaign.toml", cwd=site)
    assert "and 5 more: PBS says of job" in done.stderr
    assert "Can Never Run: Insufficient amount of resource: ngpus" in done.stderr
    assert "Mend gpus under [resources] of the campaign" in done.stderr
    assert "6 need you" in kd_hpc("status", "campaign.toml", cwd=site).stdout
