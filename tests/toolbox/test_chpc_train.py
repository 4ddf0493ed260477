"""chpc_train.sh cron against a real sshd and a real rsync: only what is whole comes, nothing is lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kd_hpc.records import Attempt, State
from kd_hpc.store import Store
from tests.hpc.support import HANGS
from tests.paths import ROOT
from tests.toolbox.chpcsite import BIN, STUDENT, TEACHER, Cluster, Laptop, make_run, program, wait_until

PAST, FUTURE = 1_000_000_000, 4_000_000_000


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def state(experiments: Path) -> State | None:
    record = Store(experiments).read(STUDENT)
    return getattr(record, "state", None)


def summary(laptop: Laptop) -> str:
    return laptop.log.splitlines()[-1].split("  ", 1)[1]


def test_a_round_pulls_plots_and_queues_and_sums_it_up(cluster: Cluster, laptop: Laptop) -> None:
    make_run(cluster.experiments, TEACHER, State.COMPLETED, best_pth=b"weights", metrics_json=b"{}")
    make_run(cluster.experiments, STUDENT, State.IN_PROGRESS)
    done = laptop.tick()
    assert done.returncode == 0, done.stderr
    assert cluster.queued == ["queue campaigns/tiny.toml --json"]
    assert names(laptop.experiments) >= names(cluster.experiments)
    assert summary(laptop) == (
        "round ends: pulled 4 files, plotted 1, submitted 1, queued 0, running 1, finished 1 of 4, problems 0"
    )
    assert "Digits/pure" in (laptop.root / "page.html").read_text()
    assert laptop.tick().returncode == 0
    assert "pulled 0 files" in summary(laptop)


def test_rounds_that_fail_for_a_day_call_the_notification_of_the_campaign(cluster: Cluster, laptop: Laptop) -> None:
    campaign, failing = laptop.root / "campaigns/tiny.toml", laptop.experiments / ".kd/notified/failing"
    campaign.write_text(campaign.read_text() + '\n[notify]\ncommand = ["sh", "-c", "cat >told; exit 1"]\n')
    cluster.stop()
    assert laptop.tick().returncode == 1
    failing.write_text((datetime.now(UTC) - timedelta(days=2)).isoformat())
    assert laptop.tick().returncode == 1
    assert "reach failed with exit status 255" in (laptop.root / "told").read_text()
    assert "notify| The [notify] command could not tell" in laptop.log
    assert summary(laptop).endswith("problems 1"), "a failing command changes nothing else"
    cluster.start()
    assert laptop.tick().returncode == 0
    assert not failing.exists()


def test_the_first_round_finds_no_experiments_there_and_queues(cluster: Cluster, laptop: Laptop) -> None:
    assert laptop.tick().returncode == 0
    assert len(cluster.queued) == 1


def test_checkpoints_and_private_files_stay_there_unless_asked_for(cluster: Cluster, laptop: Laptop) -> None:
    run = make_run(cluster.experiments, TEACHER, State.COMPLETED, best_pth=b"w", checkpoint_pth=b"c", logs=b"l")
    (run / "paraphraser.checkpoint.pth").touch()
    (run / ".owner.1").touch()
    (run / ".metrics.json.7.ab.tmp").touch()
    (cluster.experiments / ".kd").mkdir()
    (cluster.experiments / ".kd/weights.json").touch()
    laptop.tick()
    here = Store(laptop.experiments).directory(TEACHER)
    assert names(here) == {"best.pth", "logs", "status.json"}
    laptop.set(PULL_CHECKPOINTS="yes")
    laptop.tick()
    assert names(here) == {"best.pth", "logs", "status.json", "checkpoint.pth", "paraphraser.checkpoint.pth"}
    assert not list(laptop.experiments.glob(".kd/weights.json"))


def attempts(*tokens: str) -> tuple[Attempt, ...]:
    return tuple(Attempt(number=number, token=token) for number, token in enumerate(tokens, 1))


@pytest.mark.parametrize("clock", [PAST, FUTURE], ids=["slow", "fast"])
@pytest.mark.parametrize(
    ("here", "there", "kept"),
    [
        (attempts("a"), attempts("a", "b"), "theirs"),
        (attempts("a", "b"), attempts("a"), "ours"),
        (attempts("a", "b"), attempts("c"), "theirs"),
    ],
    ids=["further there", "further here", "begun anew there"],
)
def test_records_tell_what_is_newer_and_clocks_do_not(
    here: tuple[Attempt, ...], there: tuple[Attempt, ...], kept: str, clock: int, cluster: Cluster, laptop: Laptop
) -> None:
    for experiments, words, known in ((laptop.experiments, b"ours", here), (cluster.experiments, b"theirs", there)):
        run = make_run(experiments, STUDENT, State.IN_PROGRESS, attempts=known, logs=words)
    for file in run.iterdir():
        os.utime(file, (clock, clock))
    (Store(laptop.experiments).directory(STUDENT) / "only-here").touch()
    assert laptop.tick().returncode == 0
    assert (Store(laptop.experiments).directory(STUDENT) / "logs").read_text() == kept
    assert Store(laptop.experiments).read(STUDENT).attempts == (here if kept == "ours" else there)  # type: ignore[union-attr]
    assert (Store(laptop.experiments).directory(STUDENT) / "only-here").exists()
    assert ("1 runs, such as Digits/pure/ResNetBaby/0, are further here" in laptop.log) is (kept == "ours")


def test_a_record_there_that_cannot_be_read_keeps_its_run_there_alone(cluster: Cluster, laptop: Laptop) -> None:
    make_run(cluster.experiments, TEACHER, State.COMPLETED, best_pth=b"weights")
    damaged = make_run(cluster.experiments, STUDENT, State.IN_PROGRESS, logs=b"l") / "status.json"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert laptop.tick().returncode == 0
    assert state(laptop.experiments) is None
    assert (Store(laptop.experiments).directory(TEACHER) / "best.pth").exists()
    assert "have a record there that cannot be read" in laptop.log


def test_a_run_completed_here_outlives_its_second_training_there(cluster: Cluster, laptop: Laptop) -> None:
    here = make_run(laptop.experiments, STUDENT, State.COMPLETED, best_pth=b"first")
    there = make_run(cluster.experiments, STUDENT, State.IN_PROGRESS, best_pth=b"second", metrics_json=b"{}")
    for file in there.iterdir():
        os.utime(file, (FUTURE, FUTURE))
    assert laptop.tick().returncode == 0
    assert state(laptop.experiments) == State.COMPLETED
    assert (here / "best.pth").read_bytes() == b"first"
    assert not (here / "metrics.json").exists()


@pytest.mark.parametrize("swept", ["experiments", "experiments/Digits"])
def test_a_swept_cluster_empties_nothing_and_trains_nothing_twice(swept: str, cluster: Cluster, laptop: Laptop) -> None:
    make_run(cluster.experiments, TEACHER, State.COMPLETED, best_pth=b"weights")
    laptop.tick()
    before = names(laptop.experiments)
    shutil.rmtree(cluster.folder / swept)
    cluster.experiments.mkdir(exist_ok=True)
    assert laptop.tick().returncode == 1
    assert names(laptop.experiments) >= before
    assert len(cluster.queued) == 1
    assert "not queued: 1 runs that are completed here are no longer on the cluster" in laptop.log
    give_back = re.search(r"give them back: (rsync .*/) \(or", laptop.log)
    assert give_back is not None
    subprocess.run(["bash", "-c", give_back[1]], cwd=laptop.root, check=True)
    assert laptop.tick().returncode == 0
    assert len(cluster.queued) == 2


def test_a_broken_connection_leaves_whole_files_and_the_next_goes_on(cluster: Cluster, laptop: Laptop) -> None:
    content = os.urandom(3_000_000)
    make_run(cluster.experiments, STUDENT, State.COMPLETED, representations_npz=content)
    laptop.set(RSYNC_OPTIONS="(--bwlimit=100)")
    pulling = laptop.experiments / ".pulling"
    process = laptop.start()
    wait_until(lambda: any(file.stat().st_size > 1000 for file in pulling.glob("representations*")))
    cluster.cut()
    process.communicate(timeout=HANGS)
    assert process.returncode == 1
    assert {name for name in names(laptop.experiments) if not name.startswith(".pulling/")} == set()
    assert "pull failed with exit status" in laptop.log
    assert "the next round tries again" in laptop.log
    assert len(cluster.queued) == 1, "one failure hides no other step"
    laptop.set(RSYNC_OPTIONS="()")
    assert laptop.tick().returncode == 0
    here = Store(laptop.experiments).directory(STUDENT)
    assert (here / "representations.npz").read_bytes() == content
    assert state(laptop.experiments) == State.COMPLETED


def test_a_run_completed_during_the_pull_is_not_shown_without_its_files(cluster: Cluster, laptop: Laptop) -> None:
    make_run(cluster.experiments, TEACHER, State.COMPLETED, representations_npz=os.urandom(900_000))
    there = make_run(cluster.experiments, STUDENT, State.IN_PROGRESS, metrics_json=b"epoch 2")
    laptop.set(**cluster.hold_rsync(2))
    process = laptop.start()
    wait_until(lambda: cluster.rsyncs == 2)
    make_run(cluster.experiments, STUDENT, State.COMPLETED)
    (there / "representations.npz").write_bytes(b"at the end")
    cluster.let_rsync_go()
    process.communicate(timeout=HANGS)
    assert state(laptop.experiments) == State.IN_PROGRESS
    laptop.tick()
    assert state(laptop.experiments) == State.COMPLETED
    assert names(Store(laptop.experiments).directory(STUDENT)) >= {"representations.npz", "metrics.json"}


def test_two_rounds_at_once_are_one_round(cluster: Cluster, laptop: Laptop) -> None:
    (cluster.folder / "hold").touch()
    first = laptop.start()
    wait_until(lambda: len(cluster.queued) == 1)
    second = laptop.tick()
    (cluster.folder / "hold").unlink()
    assert second.returncode == 75
    assert "skipped: the round before is still at work." in laptop.log
    first.communicate(timeout=HANGS)
    assert first.returncode == 0
    assert len(cluster.queued) == 1


def test_a_step_that_hangs_is_ended_and_told(cluster: Cluster, laptop: Laptop) -> None:
    (cluster.folder / "hold").touch()
    laptop.set(QUEUE_SECONDS="2")
    assert laptop.tick().returncode == 1
    (cluster.folder / "hold").unlink()
    assert "queue failed with exit status 124: it took longer than 2 seconds." in laptop.log
    assert "problems 1" in summary(laptop)


def no_network(cluster: Cluster, laptop: Laptop) -> None:
    cluster.stop()


def new_host_key(cluster: Cluster, laptop: Laptop) -> None:
    cluster.stop()
    cluster.new_key("host")
    cluster.start()


def unknown_host(cluster: Cluster, laptop: Laptop) -> None:
    (laptop.known_hosts).write_text("")


def refused_key(cluster: Cluster, laptop: Laptop) -> None:
    (cluster.home / "client.pub").write_text("")


def folder_gone(cluster: Cluster, laptop: Laptop) -> None:
    cluster.folder.rename(cluster.home / "elsewhere")


def venv_gone(cluster: Cluster, laptop: Laptop) -> None:
    shutil.rmtree(cluster.folder / ".venv")


def scheduler_busy(cluster: Cluster, laptop: Laptop) -> None:
    (cluster.folder / "answer").write_text("75")


def campaign_bad(cluster: Cluster, laptop: Laptop) -> None:
    (cluster.folder / "answer").write_text("2")


def plots_fail(cluster: Cluster, laptop: Laptop) -> None:
    program(laptop.root / ".venv/bin/kd-analysis", "#!/bin/sh\necho no fonts >&2\nexit 1\n")


def start_up_file_prints(cluster: Cluster, laptop: Laptop) -> None:
    (cluster.home / "rc").write_text('printf "Welcome.\\nYour project ends soon.\\n"\n')
    through_start_up_file(cluster, laptop)


def start_up_file_ends_the_shell(cluster: Cluster, laptop: Laptop) -> None:
    (cluster.home / "rc").write_text("exit 1\n")
    through_start_up_file(cluster, laptop)


def through_start_up_file(cluster: Cluster, laptop: Laptop) -> None:
    """Every command begins with what is in `rc`, as that of an account whose shell reads .bashrc."""
    program(cluster.home / "shell", f'#!/bin/bash\n. {cluster.home}/rc\neval "$SSH_ORIGINAL_COMMAND"\n')
    cluster.stop()
    cluster.start(f"ForceCommand {cluster.home}/shell\n")


def old_rsync_there(cluster: Cluster, laptop: Laptop) -> None:
    program(cluster.home / "old", "#!/bin/sh\necho 'rsync: --outer: unknown option' >&2\nexit 1\n")
    laptop.set(RSYNC_OPTIONS=f"(--rsync-path={cluster.home}/old)")


def no_rsync_there(cluster: Cluster, laptop: Laptop) -> None:
    laptop.set(RSYNC_OPTIONS="(--rsync-path=no-such-rsync)")


@pytest.mark.parametrize(
    ("fault", "told", "pulled", "queued"),
    [
        (no_network, ["reach failed with exit status 255", "nothing: no network"], False, False),
        (new_host_key, ["reach failed with exit status 255", "ssh-keygen -R 127.0.0.1"], False, False),
        (unknown_host, ["reach failed with exit status 255", "is not known here yet"], False, False),
        (refused_key, ["reach failed with exit status 255", "ssh-copy-id"], False, False),
        (folder_gone, ["reach failed with exit status 41", "bash toolbox/setup_chpc.sh"], False, False),
        (venv_gone, ["reach failed with exit status 42", "bash toolbox/setup_chpc.sh"], True, False),
        (scheduler_busy, ["queue failed with exit status 75", "Nothing is lost", "queue| gpu_1 is closed"], True, True),
        (campaign_bad, ["queue failed with exit status 2", ".venv/bin/kd-hpc queue campaigns/tiny.toml"], True, True),
        (plots_fail, ["plots failed with exit status 1", "no fonts", "bash toolbox/setup.sh"], True, True),
        (start_up_file_prints, ["pull-state failed", 'print "Welcome.", and must print nothing'], False, True),
        (start_up_file_ends_the_shell, ["reach failed with exit status 1", "end the shell"], False, False),
        (old_rsync_there, ["pull-state failed", "too old"], False, True),
        (no_rsync_there, ["pull-state failed with exit status", "no-such-rsync", "module load rsync"], False, True),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_goes_wrong_is_told_with_the_next_step_and_hides_nothing(
    fault: object, told: list[str], pulled: bool, queued: bool, cluster: Cluster, laptop: Laptop
) -> None:
    make_run(cluster.experiments, TEACHER, State.COMPLETED, best_pth=b"weights")
    fault(cluster, laptop)  # type: ignore[operator]
    done = laptop.tick()
    assert done.returncode == 1, laptop.log
    for words in told:
        assert words in laptop.log
    assert (Store(laptop.experiments).directory(TEACHER) / "best.pth").exists() is pulled
    folder = cluster.folder if cluster.folder.exists() else cluster.home / "elsewhere"
    assert (folder / "calls").exists() is queued
    assert summary(laptop).startswith("round ends:")
    assert summary(laptop).endswith("problems 1")


def test_nothing_here_to_read_records_with_is_told(cluster: Cluster, laptop: Laptop) -> None:
    make_run(cluster.experiments, TEACHER, State.COMPLETED)
    (laptop.root / ".venv/bin/kd-hpc").unlink()
    assert laptop.tick().returncode == 1
    assert "bash toolbox/setup.sh" in laptop.log
    assert "runs unknown" in summary(laptop)
    assert len(cluster.queued) == 1


def test_the_log_is_rotated_and_three_old_ones_are_kept(cluster: Cluster, laptop: Laptop) -> None:
    cluster.stop()
    logs = laptop.root / "toolbox/logs"
    logs.mkdir()
    names = ["chpc_train.log", "chpc_train.log.1", "chpc_train.log.2", "chpc_train.log.3"]
    for number, name in enumerate(names):
        (logs / name).write_text(f"{number}\n" + "x" * 1_000_001)
    laptop.tick()
    assert sorted(path.name for path in logs.glob("chpc_train.log*")) == names
    assert [(logs / name).read_text()[:2] for name in names[1:]] == ["0\n", "1\n", "2\n"]
    assert "round begins" in laptop.log


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CHPC_FOLDER", "'/a b'"),
        ("CHPC_FOLDER", "'$(touch spoiled)'"),
        ("CHPC_HOST", "-oProxyCommand=x"),
        ("CHPC_USER", ""),
    ],
)
def test_settings_that_a_shell_would_misread_are_refused(name: str, value: str, laptop: Laptop) -> None:
    laptop.set(**{name: value})
    assert laptop.tick().returncode == 2
    assert f"refused: {name} in toolbox/chpc.env" in laptop.log


def others_can_write(settings: Path) -> str:
    settings.chmod(0o666)
    return "chmod go-w toolbox/chpc.env"


def from_another_system(settings: Path) -> str:
    settings.write_bytes(b"\xef\xbb\xbf" + settings.read_bytes().replace(b"\n", b"\r\n"))
    return ""


@pytest.mark.parametrize("change", [others_can_write, from_another_system], ids=lambda change: change.__name__)
def test_settings_that_others_can_change_are_refused_and_line_ends_are_not(
    change: Callable[[Path], str], laptop: Laptop
) -> None:
    told = change(laptop.root / "toolbox/chpc.env")
    assert (laptop.tick().returncode == 2) is bool(told)
    assert told in laptop.log


@pytest.mark.parametrize(
    ("printed", "is_taken"),
    [
        ("openrsync: protocol version 29", False),
        ("rsync  version 2.6.9  protocol version 29", False),
        ("rsync  version 3.0.9  protocol version 30", True),
        ("rsync  version v3.2.3  protocol version 31", True),
    ],
)
def test_an_old_or_foreign_rsync_is_named(printed: str, is_taken: bool, laptop: Laptop) -> None:
    program(laptop.root / "bin/rsync", f'#!/bin/sh\n[ "$1" = --version ] && echo "{printed}"\nexit 0\n')
    done = laptop.tick("prove", PATH=f"{laptop.root}/bin:{os.environ['PATH']}")
    assert (done.returncode == 0) is is_taken, done.stderr
    assert (f"'{printed}', and rsync 3 is needed. macOS: brew install rsync" in done.stderr) is not is_taken


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_round_needs_neither_flock_nor_timeout_nor_a_plain_path(
    locale: str, cluster: Cluster, laptop: Laptop
) -> None:
    """As on macOS; there, too, a folder's name may have letters of any kind."""
    farm = laptop.root / "bin"
    farm.mkdir()
    for name in ("bash", "sh", "env", "dirname", "rsync", "ssh", "mktemp", "rm", "rmdir", "cat", "sed", "grep", "find"):
        (farm / name).symlink_to(str(shutil.which(name)))
    for name in ("date", "mkdir", "touch", "wc", "mv", "cp", "tail", "head", "cut", "id"):
        (farm / name).symlink_to(str(shutil.which(name)))
    moved = laptop.root.rename(laptop.root.parent / "Übung für Ann")
    laptop.root = moved
    laptop.set()
    laptop.trust()
    make_run(cluster.experiments, TEACHER, State.COMPLETED, best_pth=b"weights")
    done = laptop.tick(PATH=str(moved / "bin"), LC_ALL=locale)
    assert done.returncode == 0, done.stderr
    assert summary(laptop).endswith("finished 1 of 4, problems 0")


def test_the_example_is_refused_until_it_is_filled_in(laptop: Laptop) -> None:
    shutil.copy(ROOT / "toolbox/chpc.env.example", laptop.root / "toolbox/chpc.env")
    assert laptop.tick().returncode == 2
    assert "CHPC_USER in toolbox/chpc.env is not filled in yet." in laptop.log


def test_a_campaign_runs_itself_with_the_real_programs_on_both_sides(
    cluster: Cluster, laptop: Laptop, warm_programs: Path
) -> None:
    there, here = cluster.folder / ".venv/bin", laptop.root / ".venv/bin"
    for bin_folder, name in ((there, "kd-hpc"), (here, "kd-hpc"), (here, "kd-analysis")):
        (bin_folder / name).unlink()
        (bin_folder / name).symlink_to(warm_programs / name)
    program(cluster.folder / "venv/bin/kd-core", f'#!/bin/sh\nexec {BIN}/python {ROOT}/tests/hpc/standin.py "$@"\n')
    (cluster.folder / "venv/bin/activate").touch()
    deadline = time.monotonic() + HANGS
    while "finished 4 of 4" not in laptop.log:
        assert time.monotonic() < deadline
        done = laptop.tick()
        assert done.returncode == 0, laptop.log
    assert "submitted 2, queued 0, running 0, finished 0 of 4" in laptop.log
    assert summary(laptop).endswith("finished 4 of 4, problems 0"), laptop.log
    assert (laptop.root / "plots/progress_grid.svg").exists()
