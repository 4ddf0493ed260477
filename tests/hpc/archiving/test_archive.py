"""Closing a round: nothing lost, nothing moved under a live job, the same end whatever kills it on the way."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kd_hpc.archiving.closed_run import read_round
from kd_hpc.archiving.student_t import t_interval, t_quantile
from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store
from kd_hpc.triage.checks import Severity
from kd_hpc.triage.run_directory import read_tree
from kd_hpc.triage.verdict import triage_runs
from tests.hpc.fakepbs.site import FakePbs
from tests.hpc.killed import snapshot
from tests.hpc.support import campaign_file, kd_hpc, no_jobs_left
from tests.paths import BETA as WHOLE_BETA
from tests.paths import ROOT

BETA = ROOT / "tests/analysis/fixtures/beta"
README = "# Ours\n\n<!-- campaign: begin -->\nbeta runs | since *February*\n<!-- campaign: end -->\n\nThe rest.\n"
RUN = Experiment(dataset="Digits", student="ResNet20", seed=0)
NO_JOB = "--no-job-is-alive"
PAGE = Path("analysis/experiment_beta/README.md")
RUNS = Path("analysis/experiment_beta/experiments")


@pytest.fixture
def beta(tmp_path: Path) -> Path:
    """A project whose experiments are round beta's."""
    return project(tmp_path / "project", BETA)


def project(root: Path, experiments: Path, *runs: str) -> Path:
    """A project folder with a README and copies of `runs`, or of all, in experiments."""
    for run in runs or (".",):
        shutil.copytree(experiments / run, root / "experiments" / run, copy_function=shutil.copyfile)
    (root / "README.md").write_text(README)
    return root


def archive(root: Path, *words: str, **environment: Any) -> subprocess.CompletedProcess[str]:
    return kd_hpc("archive", "beta", *words, cwd=root, **environment)


TINY = 'name = "{name}"\ndatasets = ["Digits"]\nteacher = "ResNet20"\nstudent = "ResNetBaby"\nseeds = [0]\n'


def test_a_closed_campaign_is_queued_again_only_if_that_is_said_once(tmp_path: Path) -> None:
    for name in ("ours", "next"):
        campaign_file(tmp_path, f"{TINY.format(name=name)}[recipe]\nepochs = 2\n[resources]\nvenv = '{{venv}}'\n", name)
    (tmp_path / "README.md").write_text(README)
    with no_jobs_left(tmp_path):
        assert kd_hpc("queue", "ours", "--watch", cwd=tmp_path).returncode == 0
        assert archive(tmp_path).returncode == 0
        before = snapshot(tmp_path)
        for words in ((), ("--dry-run",), ("--watch",)):
            refused = kd_hpc("queue", "ours", *words, cwd=tmp_path)
            assert refused.returncode == 2
            assert "is closed: its runs are in analysis/experiment_beta" in refused.stderr
            assert "kd-hpc queue ours --anew" in refused.stderr
        assert snapshot(tmp_path) == before
        assert kd_hpc("queue", "ours", "--experiments", "elsewhere", "--dry-run", cwd=tmp_path).returncode == 0
        assert kd_hpc("queue", "next", "--dry-run", cwd=tmp_path).returncode == 0
        assert kd_hpc("queue", "ours", "--anew", "--dry-run", cwd=tmp_path).returncode == 0
        assert kd_hpc("queue", "ours", "--anew", cwd=tmp_path).returncode == 0
        assert kd_hpc("queue", "ours", "--watch", cwd=tmp_path).returncode == 0
    assert (tmp_path / RUNS / RUN.path / "status.json").exists()
    assert (tmp_path / "experiments" / RUN.path / "status.json").exists()


def without_locks(tree: dict[str, str]) -> dict[str, str]:
    return {path: digest for path, digest in tree.items() if "-lock." not in path and "/.kd" not in f"/{path}"}


def one_record(root: Path, record: StatusRecord) -> Store:
    (root / "README.md").write_text(README)
    store = Store(root / "experiments")
    store.write(RUN, record.model_copy(update={"experiment": RUN}))
    return store


@pytest.mark.parametrize("freedom", [*range(1, 12), 29, 30, 100])
def test_t_quantiles_and_intervals_against_scipy(freedom: int) -> None:
    from scipy import stats

    for probability in (0.6, 0.9, 0.95, 0.975, 0.995):
        assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-9)
    values = [93.1 + 0.37 * k % 1.1 for k in range(freedom + 1)]
    oracle = stats.t.interval(0.95, freedom, loc=sum(values) / len(values), scale=stats.sem(values))
    assert t_interval(values) == pytest.approx(oracle, rel=1e-9)


@pytest.mark.parametrize("values", [[1.0], [92.31] * 3, [0.1 + 0.2, 0.3], []])
def test_a_single_value_and_values_that_agree_have_no_interval(values: list[float]) -> None:
    assert t_interval(values) is None


def test_values_one_item_of_a_test_set_apart_have_one() -> None:
    assert t_interval([92.31, 92.31, 92.31 + 100 / 26_032]) is not None


def test_the_page_counts_a_shared_job_once_and_explains_no_interval(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(README)
    store = Store(tmp_path / "experiments")
    for seed in (0, 1):
        runs = [
            Experiment(dataset="Digits", method=method, alpha=0.5, teacher="ResNet20", student="ResNetBaby", seed=seed)
            for method in ("nst", "rkd")
        ]
        attempt = Attempt(scheduler="pbs", job_id=f"{seed}.s", token=f"t{seed}", runs=tuple(r.label for r in runs))
        for run in runs:
            accuracy = 97.5 if run.method == "rkd" else 97.0 + seed
            record = StatusRecord(state=State.COMPLETED, epoch=2, epochs=2, acc_last=accuracy, acc_best=accuracy)
            store.write(run, record.model_copy(update={"experiment": run, "attempts": (attempt,)}))
            (store.directory(run) / "metrics.json").write_text(json.dumps({"test_acc": [accuracy - 1, accuracy]}))
    assert archive(tmp_path, NO_JOB).returncode == 0
    text = (tmp_path / PAGE).read_text()
    assert "4 attempts for 4 runs in 2 jobs; attempts that ended early: none." in text
    assert "| Digits | rkd | 0.5 | ResNet20 to ResNetBaby | 2 | 97.50 | none: seeds agree | 97.50 |" in text
    assert "| Digits | nst | 0.5 | ResNet20 to ResNetBaby | 2 | 97.50 | 91.15 to 103.85 | 97.50 |" in text


@pytest.mark.parametrize("which", [BETA, WHOLE_BETA], ids=["excerpt", "whole"])
def test_a_closed_round_lies_whole_in_its_archive_and_the_next_is_empty(which: Path, tmp_path: Path) -> None:
    if not which.is_dir():
        pytest.skip("the whole of round beta (../shared/real/beta) is not here")
    root = project(tmp_path / "project", which)
    before = snapshot(root / "experiments")
    done = archive(root, NO_JOB)
    assert done.returncode == 0, done.stderr
    assert without_locks(snapshot(root / RUNS)) == before
    assert list((root / "experiments").iterdir()) == []
    readme = (root / "README.md").read_text()
    assert readme.startswith("# Ours\n")
    assert readme.endswith("The rest.\n")
    assert "(analysis/experiment_beta/README.md)" in readme
    assert "beta runs | since *February*" not in readme
    assert "beta runs | since *February*" in (root / PAGE).read_text()


def test_the_results_table_against_an_independent_computation(beta: Path) -> None:
    import numpy as np
    from scipy import stats

    assert archive(beta, NO_JOB).returncode == 0
    rows = [row.strip("| ").split(" | ") for row in (beta / PAGE).read_text().splitlines() if " to 9" in row]
    pure = next(row for row in rows if row[:4] == ["Cifar10", "pure", "", "ResNet56"])
    curves = [json.loads((BETA / f"Cifar10/pure/ResNet56/{seed}/metrics.json").read_text()) for seed in range(3)]
    last = np.array([curve["test_acc"][-1] for curve in curves])
    low, high = stats.t.interval(0.95, 2, loc=last.mean(), scale=stats.sem(last))
    assert pure[4:7] == ["3", f"{last.mean():.2f}", f"{low:.2f} to {high:.2f}"]


def test_the_page_tells_what_died_and_why_and_what_is_not_counted(beta: Path) -> None:
    assert archive(beta, NO_JOB).returncode == 0
    text = (beta / PAGE).read_text()
    assert re.search(
        r"SVHN/pure/ResNet56/0` \| in_progress \| 64 \| ModuleNotFoundError: No module named 'scipy'", text
    )
    assert re.search(r"TinyImageNet/pure/ResNet112/0` \| in_progress \| 127 \| killed at its walltime", text)
    assert re.search(r"`Cifar100/rkd/ResNet112_to_ResNet56/0` is not counted: .*last accuracy 1\.00 %", text)
    results = text.split("## Results")[1].split("## ")[0]
    assert "rkd" not in results
    assert "SVHN" not in results
    assert "first trace 2026-02-" in text
    assert "Software versions and hardware: not on record." in text


def doubtful(root: Path) -> None:
    """Spoil runs of round beta in ways that only some of its files show."""
    early = root / "Cifar10/pure/ResNet56/0/metrics.json"
    curves = json.loads(early.read_text())
    curves["test_acc"][3] = 99.0
    early.write_text(json.dumps(curves))
    other = root / "Cifar10/pure/ResNet56/1/status.json"
    other.write_text(
        other.read_text().replace('"seed": 1', '"seed": 2').replace('"max_acc"', '"acc_last": 12.5, "max_acc"')
    )
    shutil.copytree(root / "Cifar100/pure/ResNet56/0", root / "Cifar100/pure/ResNet56/00")


@pytest.mark.parametrize("spoil", [lambda root: None, doubtful], ids=["as it is", "spoiled"])
def test_archive_and_report_count_the_same_runs_for_the_same_reasons(beta: Path, spoil: Callable[[Path], None]) -> None:
    spoil(beta / "experiments")
    judged = triage_runs(read_tree(beta / "experiments")[0])
    runs, _ = read_round(beta / "experiments")
    assert [run.path for run in runs if run.counts] == [item.run.path for item in judged if item.usable]
    assert archive(beta, NO_JOB).returncode == 0
    text = (beta / PAGE).read_text()
    for item in judged:
        grave = [finding for finding in item.findings if finding.severity == Severity.QUARANTINE]
        assert (f"`{item.run.path}` is not counted" in text) == bool(grave), item.evidence
        assert all(finding.evidence.replace("|", "\\|") in text for finding in grave)


def test_the_page_lists_settings_alone_not_what_run_it_was_or_how_it_was_started(beta: Path) -> None:
    assert archive(beta, NO_JOB).returncode == 0
    recipe = (beta / PAGE).read_text().split("## Recipe")[1].split("## ")[0]
    assert "- temperature: 4.0" in recipe
    assert not re.search(r"^- (model|dataset|seed|alpha|distillation|teacher_\w+|resume|force_restart):", recipe, re.M)


def test_a_dry_run_says_what_would_be_done_and_touches_nothing(beta: Path) -> None:
    before = snapshot(beta)
    done = archive(beta, "--dry-run", NO_JOB)
    assert done.returncode == 0
    assert "23 runs, to analysis/experiment_beta/experiments" in done.stdout
    assert snapshot(beta) == before


def test_records_that_leave_life_open_need_a_persons_word(beta: Path) -> None:
    before = snapshot(beta)
    done = archive(beta)
    assert done.returncode == 75
    assert "TinyImageNet/pure/ResNet112/0: its record says in_progress and names no job" in done.stderr
    assert NO_JOB in done.stderr
    assert snapshot(beta) == before


def test_the_authors_words_survive_and_a_second_run_changes_nothing_else(beta: Path) -> None:
    assert archive(beta, NO_JOB).returncode == 0
    page, readme = beta / PAGE, beta / "README.md"
    text = page.read_text()
    ours = text.replace("*Yours:", "RKD was broken <by> us.\n\n*Yours:")
    page.write_text(ours)
    readme.write_text("mine again\n")
    (beta / "experiments/Cifar10/pure/ResNet20/0").mkdir(parents=True)
    done = archive(beta)
    assert done.returncode == 0
    assert "1 runs in experiments are of another round" in done.stdout
    assert page.read_text() == ours
    assert readme.read_text() == "mine again\n"
    assert (beta / "experiments/Cifar10/pure/ResNet20/0").is_dir()


def test_a_page_whose_marks_are_gone_is_kept_whole(beta: Path) -> None:
    assert archive(beta, NO_JOB).returncode == 0
    (beta / PAGE).write_text("all mine\n")
    assert archive(beta).returncode == 0
    assert (beta / PAGE).with_name("README.md.quarantined.0").read_text() == "all mine\n"


def test_a_readme_without_a_campaign_section_is_left_alone(beta: Path) -> None:
    (beta / "README.md").write_text("# No marks\n")
    done = archive(beta, NO_JOB)
    assert done.returncode == 0
    assert "leave README.md as it is" in done.stdout
    assert (beta / "README.md").read_text() == "# No marks\n"


def test_the_next_campaign_is_described_from_its_file(beta: Path) -> None:
    charlie = ROOT / "campaigns/charlie.toml"
    assert archive(beta, NO_JOB, "--next", str(charlie)).returncode == 0
    assert "**charlie**, 240 runs" in (beta / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("../beta",), "no usable name"),
        (("beta", "--experiments", "nowhere"), "There is no run in nowhere"),
        (("beta", "--next", "nowhere.toml"), "There is no campaign file nowhere.toml"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(words: tuple[str, ...], says: str, beta: Path) -> None:
    before = snapshot(beta)
    done = kd_hpc("archive", *words, NO_JOB, cwd=beta)
    assert done.returncode == 2
    assert says in done.stderr
    assert snapshot(beta) == before


def test_a_folder_that_somebody_else_made_is_never_taken_for_the_archive(beta: Path) -> None:
    (beta / RUNS).mkdir(parents=True)
    done = archive(beta, NO_JOB)
    assert done.returncode == 2
    assert "this command did not make it" in done.stderr
    assert (beta / "experiments/Cifar10").is_dir()


def test_a_folder_put_aside_by_others_is_never_taken_for_the_original(beta: Path) -> None:
    (beta / "experiments.archived_beta").mkdir()
    done = archive(beta, NO_JOB)
    assert done.returncode == 2
    assert "experiments.archived_beta exists already" in done.stderr
    assert not (beta / "analysis").exists()


def test_one_name_is_one_round(beta: Path) -> None:
    assert archive(beta, NO_JOB).returncode == 0
    shutil.copytree(BETA / "SVHN", beta / "others/SVHN")
    done = archive(beta, NO_JOB, "--experiments", "others")
    assert done.returncode == 2
    assert "is the archive of the runs in experiments, not in others" in done.stderr
    assert (beta / "others/SVHN").is_dir()


def test_a_live_process_keeps_the_round_open_whatever_a_person_says(tmp_path: Path) -> None:
    store = one_record(tmp_path, StatusRecord(state=State.COMPLETED))
    code = "import sys\nfrom pathlib import Path\nfrom kd_hpc.disk import locks\n"
    code += "with locks.held(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    trainer = subprocess.Popen(
        [sys.executable, "-c", code, store.directory(RUN) / ".owner"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with trainer:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == b"held\n"
        done = archive(tmp_path, NO_JOB)
        trainer.kill()
    assert done.returncode == 75
    assert "is being trained by process" in done.stderr
    assert not (tmp_path / "analysis").exists()
    assert archive(tmp_path).returncode == 0


def test_pbs_has_the_last_word_about_its_jobs(fakepbs: FakePbs, tmp_path: Path) -> None:
    from kd_hpc.campaign_file.resources import Resources
    from kd_hpc.schedulers.base import JobSpec
    from kd_hpc.schedulers.pbs.scheduler import PbsScheduler

    folder = tmp_path / "job"
    folder.mkdir()
    resources = Resources(project="CSCI1166", queue="gpu_1", memory="400mb")
    scheduler = PbsScheduler("gpu_1", timeout=5)
    job = scheduler.submit_held(JobSpec("d.kt00001", "kt00001", ["true"], folder, resources))
    attempt = Attempt(token="kt00001", scheduler="pbs", job_id=job)
    store = one_record(tmp_path, StatusRecord(state=State.QUEUED, attempts=(attempt,)))
    assert "no campaign queued here uses pbs" in archive(tmp_path).stderr
    campaigns = store.root / ".kd/campaigns"
    campaigns.mkdir(parents=True)
    text = (ROOT / "campaigns/charlie.toml").read_text()
    (campaigns / "charlie.toml").write_text(text)
    held = archive(tmp_path, NO_JOB)
    assert (held.returncode, f"job {job} is alive" in held.stderr) == (75, True), held.stderr
    fakepbs.uninstall("qstat")
    doubtful = archive(tmp_path, PATH=f"{fakepbs.bin}:/nowhere")
    assert (doubtful.returncode, f"job {job} may be alive" in doubtful.stderr) == (75, True), doubtful.stderr
    assert not (tmp_path / "analysis").exists()
    fakepbs.install("qstat")
    scheduler.cancel([job])
    fakepbs.wait_for(job, "F")
    done = archive(tmp_path)
    assert done.returncode == 0, done.stderr


def test_no_tick_begins_while_a_round_is_being_closed(tmp_path: Path) -> None:
    store = one_record(tmp_path, StatusRecord(state=State.COMPLETED))
    code = "import sys\nfrom pathlib import Path\nfrom kd_hpc.queueing.runner import tick_lock\n"
    code += "with tick_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    tick = subprocess.Popen(
        [sys.executable, "-c", code, store.root / ".kd"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with tick:
        assert tick.stdout is not None
        tick.stdout.readline()
        refused = archive(tmp_path)
        tick.kill()
    assert refused.returncode == 75
    assert store.directory(RUN).is_dir()
    assert archive(tmp_path).returncode == 0


@pytest.fixture
def other_file_system(tmp_path: Path) -> Iterator[Path]:
    shared_memory = Path("/dev/shm")
    if not os.access(shared_memory, os.W_OK) or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is no second file system to write to")
    with tempfile.TemporaryDirectory(dir=shared_memory) as folder:
        yield Path(folder)


@pytest.mark.parametrize("across", [False, True], ids=["one file system", "two file systems"])
def test_killed_before_any_change_the_same_command_ends_in_the_same_place(
    across: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    elsewhere = str(request.getfixturevalue("other_file_system")) if across else "-"
    runs = ("Cifar10/rkd/ResNet112_to_ResNet56/0", "SVHN/pure/ResNet56/0")
    template = project(tmp_path / "template", BETA, *runs)
    (template / "experiments/a-link").symlink_to("Cifar10")
    originals = without_locks(snapshot(template / "experiments"))
    (tmp_path / "work").mkdir()
    words = ["archive", "beta", NO_JOB]
    done = subprocess.run(
        [sys.executable, ROOT / "tests/hpc/killed.py", template, tmp_path / "work", elsewhere, *words],
        capture_output=True,
        text=True,
        check=True,
    )
    *killed, whole = json.loads(done.stdout)
    assert len(killed) > 20
    assert whole["first"] == 0
    reference = without_locks(whole["tree"])
    assert {path.removeprefix(f"{RUNS}/"): digest for path, digest in reference.items() if str(RUNS) in path} == {
        str(RUNS): "folder",
        **originals,
    }
    for number, end in enumerate(killed, start=1):
        assert (end["first"], end["second"]) == (-9, 0), (number, done.stderr)
        tree = without_locks(end["tree"])
        moving = ("closing.json", ".closing.", ".tmp")
        different = {path for path, digest in tree.items() ^ reference.items() if not any(m in path for m in moving)}
        assert not different, number
        if across:
            fresh, aside = end["away"][str(number)], end["away"][f"{number}.archived_beta"]
            assert (fresh, without_locks(aside)) == ({}, originals), number


def test_a_copy_that_differs_from_the_original_never_replaces_it(other_file_system: Path, tmp_path: Path) -> None:
    root = project(tmp_path / "project", BETA, "SVHN/pure/ResNet56/0")
    shutil.move(root / "experiments", other_file_system / "runs")
    (root / "experiments").symlink_to(other_file_system / "runs")
    stale = root / "analysis/experiment_beta/.experiments.copying/from-elsewhere"
    stale.mkdir(parents=True)
    done = archive(root, NO_JOB)
    assert done.returncode == 1
    assert "from-elsewhere differs" in done.stderr
    assert (other_file_system / "runs/SVHN/pure/ResNet56/0/logs").is_file()
    assert not (root / RUNS).exists()
