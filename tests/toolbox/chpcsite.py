"""A cluster (a folder, a real sshd, a kd-hpc that does as told), a laptop (the real scripts), a crontab to spoil."""

from __future__ import annotations

import fcntl
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from kd_hpc.experiment import Experiment
from kd_hpc.records import Attempt, State, StatusRecord
from kd_hpc.store import Store
from tests.hpc.support import HANGS, put_record
from tests.paths import ROOT

BIN = Path(sys.executable).parent
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
CRON_USER = "nobody"

CAMPAIGN = """\
name = "tiny"
datasets = ["Digits"]
teacher = "ResNet20"
student = "ResNetBaby"
seeds = [0, 1]

[recipe]
epochs = 3

[resources]
walltime = "00:10:00"
venv = "venv"

[scheduler]
kind = "local"
slots = 2
"""
FAKE_KD_HPC = """\
#!/bin/sh
if [ "$1" = --help ]; then exit 0; fi
echo "$@" >>calls
while [ -e hold ]; do sleep 0.05; done
echo '{'
echo '"acted": [{"action": "submit"}, {"action": "adopt"}],'
echo '"unreachable": "", "unknown": ["left alone"], "problems": ["gpu_1 is closed"]'
echo '}'
exit "$(cat answer 2>/dev/null || echo 0)"
"""
TEACHER = Experiment(dataset="Digits", student="ResNet20", seed=0)
STUDENT = Experiment(dataset="Digits", student="ResNetBaby", seed=0)


def missing_programs(*names: str) -> list[str]:
    return [name for name in names if shutil.which(name, path=PATH) is None]


def wait_until(condition: Callable[[], bool], seconds: float = HANGS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def copy_toolbox(root: Path) -> None:
    """What chpc_train.sh is made of."""
    for file in (*(ROOT / "toolbox").glob("chpc*"), ROOT / "toolbox/bounded.py"):
        if file.name != "chpc.env":
            shutil.copy(file, root / "toolbox")


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def make_run(
    experiments: Path, run: Experiment, state: State, *, attempts: tuple[Attempt, ...] = (), **files: bytes
) -> Path:
    """A run directory with a record in `state` and `files`; "_" in their names stands for a dot."""
    store = Store(experiments)
    store.directory(run).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (store.directory(run) / name.replace("_", ".")).write_bytes(content)
    put_record(store, run, StatusRecord(experiment=run, state=state, epoch=3, epochs=3, attempts=attempts))
    return store.directory(run)


@dataclass
class Cluster:
    """`home` holds sshd's own files; `folder` is the project's clone there."""

    home: Path
    port: int = 0
    server: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True)
        program(self.folder / ".venv/bin/kd-hpc", FAKE_KD_HPC)
        (self.folder / "campaigns").mkdir()
        (self.folder / "campaigns/tiny.toml").write_text(CAMPAIGN)
        self.new_key("client")
        self.new_key("host")
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def folder(self) -> Path:
        return self.home / "kd"

    @property
    def experiments(self) -> Path:
        return self.folder / "experiments"

    @property
    def queued(self) -> list[str]:
        """How kd-hpc was called here."""
        calls = self.folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def new_key(self, name: str) -> None:
        for old in (self.home / name, self.home / f"{name}.pub"):
            old.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.home / name], check=True)

    def start(self, more: str = "") -> None:
        """With `more` lines of sshd_config."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        config = self.home / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.home}/host\nPidFile none\nUsePAM no\nStrictModes no\n"
            f"AuthorizedKeysFile {self.home}/client.pub\nPasswordAuthentication no\nPermitRootLogin yes\n"
            f"SetEnv HOME={self.home}\n{more}"  # without the start-up files of whoever runs the tests
        )
        sshd = shutil.which("sshd", path=PATH)
        log = (self.home / "sshd.log").open("ab")
        self.server = subprocess.Popen([str(sshd), "-D", "-e", "-f", config], stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        wait_until(self._answers)

    def hold_rsync(self, call: int) -> dict[str, str]:
        """Settings with which the `call`-th rsync of a round waits here until `let_rsync_go`."""
        text = f'#!/bin/sh\necho >>{self.home}/rsyncs\nif [ "$(grep -c "" {self.home}/rsyncs)" = {call} ]; then\n'
        text += f'  while [ ! -e {self.home}/go ]; do sleep 0.05; done\nfi\nexec rsync "$@"\n'
        program(self.home / "rsync", text)
        return {"RSYNC_OPTIONS": f"(--rsync-path={self.home}/rsync)"}

    def let_rsync_go(self) -> None:
        (self.home / "go").touch()

    @property
    def rsyncs(self) -> int:
        """How many were begun since `hold_rsync`."""
        calls = self.home / "rsyncs"
        return len(calls.read_text().splitlines()) if calls.exists() else 0

    def _answers(self) -> bool:
        with closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self.server is not None:
            self.cut()
            self.server.kill()
            self.server.wait()
            self.server = None

    def cut(self) -> None:
        """Break every connection, as a dead network does to a server."""
        assert self.server is not None
        for child in psutil.Process(self.server.pid).children(recursive=True):
            with suppress(psutil.Error):
                child.kill()


@dataclass
class Laptop:
    """The project's folder here, its settings pointing at `cluster`."""

    root: Path
    cluster: Cluster
    kd_hpc: Path = BIN / "kd-hpc"
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "toolbox").mkdir(parents=True)
        copy_toolbox(self.root)
        (self.root / "campaigns").mkdir()
        (self.root / "campaigns/tiny.toml").write_text(CAMPAIGN)
        (self.root / ".venv/bin").mkdir(parents=True)
        (self.root / ".venv/bin/python").symlink_to(BIN / "python")
        (self.root / ".venv/bin/kd-hpc").symlink_to(self.kd_hpc)
        program(self.root / ".venv/bin/kd-analysis", '#!/bin/sh\nprintf \'{\\n"runs": [{"drawn": true}]}\\n\'\n')
        self.trust()
        self.set()

    @property
    def known_hosts(self) -> Path:
        return self.root.parent / "known_hosts"

    @property
    def experiments(self) -> Path:
        return self.root / "experiments"

    @property
    def log(self) -> str:
        log = self.root / "toolbox/logs/chpc_train.log"
        return log.read_text() if log.exists() else ""

    def trust(self) -> None:
        """Know the cluster's present host key."""
        key = (self.cluster.home / "host.pub").read_text()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.cluster.port} {key}")

    def set(self, **changes: str) -> None:
        """Write toolbox/chpc.env, with `changes` kept for later calls."""
        self.settings |= changes
        ssh = (
            f'-F /dev/null -p {self.cluster.port} -i "{self.cluster.home}/client" '
            f'-o "UserKnownHostsFile={self.known_hosts}"'
        )
        values = {
            "CHPC_HOST": "127.0.0.1",
            "CHPC_USER": getpass.getuser(),
            "CHPC_FOLDER": str(self.cluster.folder),
            "CHPC_CAMPAIGN": "campaigns/tiny.toml",
            "SSH_OPTIONS": f"({ssh})",
            **dict.fromkeys(("REACH_SECONDS", "PULL_SECONDS", "PLOTS_SECONDS", "QUEUE_SECONDS"), f"{HANGS:.0f}"),
        }
        lines = [f"{name}={value}\n" for name, value in (values | self.settings).items()]
        (self.root / "toolbox/chpc.env").write_text("".join(lines))

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "toolbox/chpc_train.sh", *(words or ("cron",))],
            cwd=self.root,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def tick(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=HANGS)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def end(self) -> None:
        """End what still works below this folder."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cwd().startswith(str(self.root.parent)):
                    process.kill()


@dataclass
class Crontab:
    """The real crontab program, on a table that is nobody's: `bin` goes first on the PATH."""

    bin: Path

    @classmethod
    @contextmanager
    def borrowed(cls, folder: Path) -> Iterator[Crontab]:
        if os.geteuid() != 0:
            pytest.skip("only root can give the real crontab program a user other than you")
        lock = Path(tempfile.gettempdir()) / "kd-test-crontab.lock"
        with lock.open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            real = shutil.which("crontab", path=PATH)
            program(folder / "cronbin/crontab", f'#!/bin/sh\nexec {real} -u {CRON_USER} "$@"\n')
            table = cls(folder / "cronbin")
            if table.content is not None:
                pytest.skip(f"user {CRON_USER} has a crontab, which is not ours to change")
            try:
                yield table
            finally:
                table.run("-r")

    @property
    def path(self) -> str:
        return f"{self.bin}:{PATH}"

    @property
    def content(self) -> bytes | None:
        listed = self.run("-l")
        return listed.stdout if listed.returncode == 0 else None

    def run(self, *words: str, text: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([self.bin / "crontab", *words], input=text, capture_output=True, check=False)
